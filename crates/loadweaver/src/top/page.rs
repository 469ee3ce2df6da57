//! The overview as lines of text: the node, what is wrong, traffic, pools. The servers are in `table`.
//!
//! The same lines are drawn on the screen and printed by `--once`.

use loadweaver_control::words::span;
use ratatui::text::{Line, Span};

use super::format::{NONE, clock, count, millis, share};
use super::ink::{Ink, Tone, left, right, width as width_of};
use super::known::Known;
use super::past::{Columns, newest};
use super::shapes::Pool;
use super::words::problems;

/// Columns of the words before a sparkline.
const NAME: usize = 12;
const FIGURE: usize = 37;
/// Columns of `✓ 2000 of 2000`, and of a figure of a pool.
const UP: usize = 15;
const NUMBER: usize = 10;
/// The narrowest and the widest picture.
const LEAST_PICTURE: usize = 10;
const MOST_PICTURE: usize = 60;

/// Lines of so many columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) known: &'a Known,
    pub(super) ink: Ink,
    pub(super) width: usize,
}

impl Page<'_> {
    /// Which node it is, and how it is.
    pub(super) fn header(&self) -> Line<'static> {
        let Known { place, health, .. } = self.known;
        let mut spans = vec![self.ink.span(format!(" LoadWeaver  {place}"), Tone::Strong)];
        if let Some(health) = health {
            let tone = if &*health.state == "ready" { Tone::Good } else { Tone::Warning };
            spans.push(self.ink.span(format!("  {}", health.state), tone));
            let now = clock(self.known.now());
            let (up, config) = (span(health.uptime), health.config_version);
            let text = format!("  up {up}  {now}  configuration {config}  v{}", health.version);
            spans.push(self.ink.span(text, Tone::Muted));
        }
        Line::from(spans)
    }

    /// What is wrong, the worst first, in at most so many lines.
    pub(super) fn wrong(&self, most: usize) -> Vec<Line<'static>> {
        let all = problems(self.known);
        if all.is_empty() {
            let well = format!(" ✓ {}", self.known.problems.summary);
            return vec![Line::from(self.ink.span(well, Tone::Good))];
        }
        let told = if all.len() > most { most.saturating_sub(1).max(1) } else { all.len() };
        // A single line is for the worst, and says that there is more.
        let single = most == 1 && all.len() > 1;
        let count = if single { format!("1 of {}: ", all.len()) } else { String::new() };
        let mut lines: Vec<_> = all
            .iter()
            .take(told)
            .map(|problem| {
                let tone = Tone::from(problem.severity);
                let sign = if tone == Tone::Bad { '✗' } else { '!' };
                let why = if problem.why.is_empty() { String::new() } else { format!(": {}", problem.why) };
                Line::from(vec![
                    self.ink.span(format!(" {sign} {count}{}", problem.what), tone),
                    Span::raw(why),
                ])
            })
            .collect();
        if told < all.len() && !single {
            let more = format!(" ! {} things are wrong; {} of them are shown here", all.len(), told);
            lines.push(Line::from(self.ink.span(more, Tone::Warning)));
        }
        lines
    }

    /// Requests, errors, latency and connections, with their last five minutes.
    pub(super) fn traffic(&self) -> Vec<Line<'static>> {
        let node = &self.known.seconds.node;
        let errors = node.lately().share().map_or(0.0, f64::from);
        let is_known = !node.requests.is_empty();
        let latency = [("p50", &node.p50), ("p95", &node.p95), ("p99", &node.p99)]
            .map(|(name, column)| format!("{name} {}", millis(newest(column))))
            .join("  ");
        let rows = [
            ("Requests", format!("{} /s", count(newest(&node.requests))), node.requests.clone()),
            ("Errors", format!("{} of answers", share(is_known.then_some(errors))), node.error_shares()),
            ("Latency", latency, node.p95.clone()),
            ("Clients", format!("{} connections", count(newest(&node.active))), node.active.clone()),
        ];
        let room = self.width.saturating_sub(NAME + FIGURE + 1).min(MOST_PICTURE);
        let last = self.known.seconds.last();
        rows.into_iter()
            .map(|(name, figure, column)| {
                let mut spans = vec![self.ink.span(left(&format!(" {name}"), NAME), Tone::Muted)];
                if room < LEAST_PICTURE {
                    spans.push(self.ink.span(figure, Tone::Strong));
                } else {
                    spans.push(self.ink.span(left(&figure, FIGURE), Tone::Strong));
                    spans.push(self.ink.sparkline(&column, last, room));
                }
                Line::from(spans)
            })
            .collect()
    }

    /// A line for each pool below one of names, in at most so many lines.
    pub(super) fn pools(&self, most: usize) -> Vec<Line<'static>> {
        let names = self.known.pools.iter().map(|pool| width_of(&pool.name)).max().unwrap_or(0);
        let name = names.clamp(4, (self.width / 4).clamp(4, 24));
        let rest = 1 + name + 1 + UP + 3 * NUMBER;
        let room = self.width.saturating_sub(rest + 2).min(MOST_PICTURE);
        let room = if room < LEAST_PICTURE { 0 } else { room };
        let mut head = format!(" {} {}", left("Pool", name), left("Servers", UP));
        if room > 0 {
            head.push_str(&left("Health, last hour", room));
        }
        for title in ["Req/s", "5xx", "p95"] {
            head.push_str(&right(title, NUMBER));
        }
        let total = self.known.pools.len();
        let shown = if total + 1 > most { most.saturating_sub(2) } else { total };
        let mut lines = vec![Line::from(self.ink.span(head, Tone::Muted))];
        lines.extend(self.known.pools.iter().take(shown).map(|pool| self.pool(pool, name, room)));
        if shown < total {
            let more = format!(" … and {} more pools", total - shown);
            lines.push(Line::from(self.ink.span(more, Tone::Muted)));
        }
        lines
    }

    fn pool(&self, pool: &Pool, name: usize, room: usize) -> Line<'static> {
        let (sign, tone) = match pool.up {
            0 => ('✗', Tone::Bad),
            up if up < pool.total => ('!', Tone::Warning),
            _ => ('✓', Tone::Good),
        };
        let mut spans = vec![
            self.ink.span(format!(" {} ", left(&pool.name, name)), Tone::Usual),
            self.ink.span(left(&format!("{sign} {} of {}", pool.up, pool.total), UP), tone),
        ];
        if room > 0 {
            let nothing = Columns::default();
            let past = self.known.hour.pool(&pool.name).unwrap_or(&nothing);
            #[expect(clippy::cast_precision_loss, reason = "a share of thousands")]
            let now = (pool.total > 0).then(|| pool.up as f32 / pool.total as f32);
            spans.extend(self.ink.strip(&past.up, now, room));
        }
        let line = self.known.seconds.pool(&pool.name);
        let figures = line.map_or_else(
            || [NONE.to_owned(), NONE.to_owned(), NONE.to_owned()],
            |line| {
                let errors = line.lately().share().map_or(0.0, f64::from);
                [count(newest(&line.requests)), share(Some(errors)), millis(newest(&line.p95))]
            },
        );
        spans.extend(figures.map(|figure| Span::raw(right(&figure, NUMBER))));
        Line::from(spans)
    }
}
