//! The whole screen, of whatever size it is: what matters most is there as long as there is a line for it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::ink::{Ink, Tone};
use super::known::Known;
use super::page::Page;
use super::table::{Table, chosen, detail};
use super::view::View;
use super::words::problems;

const HELP: [&str; 13] = [
    " q, Ctrl-C          end",
    " up, down, j, k     the next server",
    " page up, down      a page further",
    " home, end          the first, the last",
    " s                  order by state, server, requests, active, latency",
    " r                  the other way round",
    " /                  show servers whose name, pool, state or reason holds a text; Esc shows all",
    " p                  stop the picture, and let it go on",
    " Ctrl-Z             to the shell; fg comes back",
    "",
    " Requests and latency are the last second's, errors the last ten seconds', pictures five minutes.",
    " Strips: █ all servers up, ▂ to ▆ some, × none, · not known; the newest is at the right.",
    " Req/s and share of a server are over ten seconds, its p95 over the last few minutes.",
];

/// From which height on a server's reason has a line of its own.
const TALL: usize = 20;

/// Lines for each part of the screen.
#[derive(Debug, Default, Clone, Copy)]
struct Lines {
    wrong: usize,
    traffic: usize,
    pools: usize,
    rows: usize,
    detail: usize,
    footer: usize,
    gaps: usize,
}

impl Lines {
    /// Of a screen with so many lines below its first one.
    fn of(height: usize, wrong: usize, pools: usize) -> Self {
        let mut left = height;
        let mut lines = Self { wrong: take(&mut left, 1), footer: take(&mut left, 1), ..Self::default() };
        lines.rows = take(&mut left, 3);
        lines.traffic = take(&mut left, 4);
        lines.detail = take(&mut left, 1);
        // A heading alone says nothing.
        if left >= 2 {
            lines.pools = take(&mut left, (pools + 1).min((height / 4).max(2)));
        }
        lines.wrong += take(&mut left, wrong.saturating_sub(1).min(height / 4));
        if height >= TALL {
            lines.detail += take(&mut left, 1);
        }
        if left >= 6 {
            lines.gaps = take(&mut left, 3);
        }
        lines.rows += left;
        lines
    }
}

fn take(left: &mut usize, wanted: usize) -> usize {
    let got = wanted.min(*left);
    *left -= got;
    got
}

/// Writes line below line.
struct Pen<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    row: u16,
}

impl Pen<'_> {
    fn line(&mut self, line: &Line<'_>) {
        if self.row < self.area.height {
            self.buffer.set_line(self.area.x, self.area.y + self.row, line, self.area.width);
            self.row += 1;
        }
    }

    fn lines(&mut self, lines: &[Line<'_>]) {
        for line in lines {
            self.line(line);
        }
    }

    /// The line that was written last, from edge to edge.
    fn invert(&mut self) {
        let row = Rect { y: self.area.y + self.row.saturating_sub(1), height: 1, ..self.area };
        self.buffer.set_style(row.intersection(self.area), Modifier::REVERSED);
    }
}

/// Draws all of it.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, (known, ink): (&Known, Ink), view: &mut View) {
    let area = area.intersection(buffer.area);
    let page = Page { known, ink, width: area.width.into() };
    let height = usize::from(area.height).saturating_sub(1);
    let lines = Lines::of(height, problems(known).len(), known.pools.len());
    let mut pen = Pen { buffer, area, row: 0 };
    pen.line(&page.header());
    pen.invert();
    pen.lines(&page.wrong(lines.wrong));
    let gap = lines.gaps > 0;
    if view.help {
        pen.lines(&HELP.map(Line::raw));
        footer(&mut pen, &Line::from(ink.span(" any key goes back", Tone::Muted)), lines.footer);
        return;
    }
    pen.row += u16::from(gap);
    pen.lines(page.traffic().get(..lines.traffic).unwrap_or_default());
    pen.row += u16::from(gap);
    if lines.pools > 0 {
        pen.lines(&page.pools(lines.pools));
    }
    pen.row += u16::from(gap);
    servers(&mut pen, (known, ink), view, lines);
}

fn servers(pen: &mut Pen<'_>, (known, ink): (&Known, Ink), view: &mut View, lines: Lines) {
    let table = Table::new(known, ink, pen.area.width.into());
    let rows = chosen(known, &view.filter, (view.order, view.reversed));
    let shown = lines.rows.saturating_sub(1);
    let first = view.scroll(rows.len(), shown);
    if lines.rows > 0 {
        pen.line(&table.head());
    }
    for (place, row) in rows.iter().enumerate().skip(first).take(shown) {
        pen.line(&table.row(row));
        if place == view.marked {
            pen.invert();
        }
    }
    let bottom = usize::from(pen.area.height).saturating_sub(lines.footer + lines.detail);
    pen.row = pen.row.max(u16::try_from(bottom).unwrap_or(u16::MAX));
    if let Some(row) = rows.get(view.marked).filter(|_| lines.detail > 0) {
        pen.lines(&detail((known, ink), row, lines.detail));
    }
    let line = keys(view, ink, (rows.len(), known.servers.len()));
    footer(pen, &line, lines.footer);
}

/// On the last line.
fn footer(pen: &mut Pen<'_>, line: &Line<'_>, lines: usize) {
    if lines > 0 {
        pen.row = pen.area.height.saturating_sub(1);
        pen.line(line);
    }
}

/// What keys do, and what they have done.
fn keys(view: &View, ink: Ink, (shown, all): (usize, usize)) -> Line<'static> {
    let mut spans = Vec::new();
    if view.paused.is_some() {
        spans.push(ink.span(" PAUSED, p goes on ", Tone::Warning));
    }
    if view.types {
        spans.push(ink.span(
            format!(" filter: {}_  {shown} of {all} servers, Enter keeps it, Esc takes it away", view.filter),
            Tone::Strong,
        ));
        return Line::from(spans);
    }
    if !view.filter.is_empty() {
        spans.push(ink.span(
            format!(" {shown} of {all} servers have \"{}\", Esc shows all ", view.filter),
            Tone::Strong,
        ));
    }
    let order = if view.reversed { ", reversed" } else { "" };
    let text = format!(" q quit  ? help  s sort ({}{order})  / filter  p pause", view.order.name());
    spans.push(ink.span(text, Tone::Muted));
    if view.filter.is_empty() && shown > 0 {
        spans.push(Span::raw(format!("  {} of {all}", view.marked + 1)));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests;
