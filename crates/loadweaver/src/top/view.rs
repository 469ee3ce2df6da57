//! What somebody looks at: the keys that they press, and where that leads.

use std::rc::Rc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::known::Known;
use super::table::Order;

/// The longest filter.
const LONGEST_FILTER: usize = 64;

/// Where somebody is.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) order: Order,
    pub(super) reversed: bool,
    pub(super) filter: String,
    /// Keys are letters of the filter.
    pub(super) types: bool,
    pub(super) help: bool,
    /// What was known when time was stopped.
    pub(super) paused: Option<Rc<Known>>,
    /// The row that is marked, and the first one that is shown.
    pub(super) marked: usize,
    first: usize,
    /// Rows that were shown last, and how many there were.
    page: usize,
    rows: usize,
}

/// What a key wants beyond another view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// Pause, or go on.
    Pause,
    /// To the shell for a while, as other programs do.
    Suspend,
    Quit,
}

impl View {
    /// Takes a key.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Wish::Quit,
                KeyCode::Char('z') => Wish::Suspend,
                _ => Wish::Nothing,
            };
        }
        if self.types {
            self.edit(key.code);
            return Wish::Nothing;
        }
        if std::mem::take(&mut self.help) && key.code != KeyCode::Char('q') {
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('p') => return Wish::Pause,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('s') => (self.order, self.reversed) = (self.order.next(), false),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('/') => self.types = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Up | KeyCode::Char('k') => self.mark(self.marked.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.mark(self.marked + 1),
            KeyCode::PageUp => self.mark(self.marked.saturating_sub(self.page.max(1))),
            KeyCode::PageDown => self.mark(self.marked + self.page.max(1)),
            KeyCode::Home => self.mark(0),
            KeyCode::End => self.mark(usize::MAX),
            _ => {}
        }
        Wish::Nothing
    }

    fn edit(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.types = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.types = false;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(letter) if self.filter.chars().count() < LONGEST_FILTER => self.filter.push(letter),
            _ => {}
        }
    }

    fn mark(&mut self, row: usize) {
        self.marked = row.min(self.rows.saturating_sub(1));
    }

    /// The first row to be shown, where there are so many and so many of them are shown: the marked one is among them.
    pub(super) fn scroll(&mut self, rows: usize, page: usize) -> usize {
        (self.rows, self.page) = (rows, page);
        self.mark(self.marked);
        let last = (self.marked + 1).saturating_sub(page);
        self.first = self.first.clamp(last, last.max(self.marked)).min(rows.saturating_sub(page));
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(view: &mut View, codes: &[KeyCode]) -> Wish {
        let press = |view: &mut View, code| view.press(KeyEvent::new(code, KeyModifiers::NONE));
        codes.iter().fold(Wish::Nothing, |_, code| press(view, *code))
    }

    #[test]
    fn the_marked_row_is_always_in_sight() {
        let mut view = View::default();
        assert_eq!(view.scroll(2000, 10), 0);
        press(&mut view, &[KeyCode::End]);
        assert_eq!((view.scroll(2000, 10), view.marked), (1990, 1999));
        press(&mut view, &[KeyCode::Up; 3]);
        assert_eq!((view.scroll(2000, 10), view.marked), (1990, 1996));
        press(&mut view, &[KeyCode::PageUp]);
        assert_eq!((view.scroll(2000, 10), view.marked), (1986, 1986));
        press(&mut view, &[KeyCode::PageDown, KeyCode::Down]);
        assert_eq!((view.scroll(2000, 10), view.marked), (1988, 1997));
        // Servers go away, the window shrinks to nothing, and comes back.
        assert_eq!((view.scroll(3, 10), view.marked), (0, 2));
        assert_eq!(view.scroll(3, 0), 3, "nothing is shown, from behind the last one on");
        assert_eq!(view.scroll(0, 0), 0);
        assert_eq!((view.scroll(2000, 10), view.marked), (0, 0));
        press(&mut view, &[KeyCode::Home, KeyCode::Up]);
        assert_eq!(view.scroll(2000, 10), 0);
    }

    #[test]
    fn letters_of_a_filter_are_no_keys() {
        let mut view = View::default();
        let typed =
            [KeyCode::Char('/'), KeyCode::Char('q'), KeyCode::Char('s'), KeyCode::Backspace, KeyCode::Enter];
        assert_eq!(press(&mut view, &typed), Wish::Nothing);
        assert_eq!((view.filter.as_str(), view.types, view.order), ("q", false, Order::State));
        press(&mut view, &[KeyCode::Esc]);
        assert_eq!(view.filter, "");
        assert_eq!(press(&mut view, &[KeyCode::Char('q')]), Wish::Quit);
        view.types = true;
        assert_eq!(view.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Wish::Quit);
        press(&mut view, &vec![KeyCode::Char('x'); 1000]);
        assert_eq!(view.filter.len(), LONGEST_FILTER);
    }
}
