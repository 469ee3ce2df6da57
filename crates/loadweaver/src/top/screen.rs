//! The terminal, taken over and given back: at the end, at a signal, at a panic, and while the shell has it.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::sync::Once;

use crossterm::cursor::{Hide, Show};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, getpid, kill_process};

use super::draw::draw;
use super::ink::Ink;
use super::known::Known;
use super::view::View;

/// A terminal that is ours until this is dropped.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    ink: Ink,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        restore_at_panic();
        let taken = take();
        let terminal = taken.and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        terminal.map(|terminal| Self { terminal, ink: Ink::of_environment() }).inspect_err(|_| give_back())
    }

    pub(super) fn draw(&mut self, known: &Known, view: &mut View) -> io::Result<()> {
        let ink = self.ink;
        self.terminal.draw(|frame| {
            let area = frame.area();
            draw(frame.buffer_mut(), area, (known, ink), view);
        })?;
        Ok(())
    }

    /// Stops this process until the shell lets it go on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        kill_process(getpid(), Signal::TSTP)?;
        take()?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide)
}

/// There is nothing to be done where that fails: the terminal is gone.
fn give_back() {
    let _ = execute!(stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// What a panic has to say is to be read, and not to vanish with the other screen.
fn restore_at_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}
