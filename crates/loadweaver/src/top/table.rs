//! The servers: which of them, in which order, and in which columns.

use std::cmp::{Ordering, Reverse};

use ratatui::text::{Line, Span};

use super::format::{NONE, count, millis};
use super::ink::{Ink, Tone, left, right, width as width_of};
use super::known::Known;
use super::shapes::Server;
use super::shares::Share;
use super::words::for_so_long;

/// The least that a server's name is given.
const LEAST_NAME: usize = 12;
/// The most, where there is room.
const MOST_NAME: usize = 48;
/// From which width on there is a column of weights.
const WIDE: usize = 100;

/// What the servers are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// The worst first.
    #[default]
    State,
    Name,
    Requests,
    Active,
    Latency,
}

impl Order {
    pub(super) fn next(self) -> Self {
        match self {
            Self::State => Self::Name,
            Self::Name => Self::Requests,
            Self::Requests => Self::Active,
            Self::Active => Self::Latency,
            Self::Latency => Self::State,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Name => "server",
            Self::Requests => "requests",
            Self::Active => "active",
            Self::Latency => "latency",
        }
    }

    /// The greatest first, where it is a number.
    fn compare(self, (one, first): &Row, (other, second): &Row) -> Ordering {
        let greater =
            |one: Option<f64>, other: Option<f64>| other.unwrap_or(-1.0).total_cmp(&one.unwrap_or(-1.0));
        let name = (&one.id, &one.pool).cmp(&(&other.id, &other.pool));
        let by = match self {
            Self::State => Standing::of(one).rank().cmp(&Standing::of(other).rank()),
            Self::Name => Ordering::Equal,
            Self::Requests => greater(first.rate, second.rate),
            Self::Active => Reverse(one.active_connections).cmp(&Reverse(other.active_connections)),
            Self::Latency => greater(one.latency.p95, other.latency.p95),
        };
        by.then(name)
    }
}

type Row = (Server, Share);

/// How a server stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    sign: char,
    pub(super) word: &'static str,
    tone: Tone,
}

impl Standing {
    pub(super) fn of(server: &Server) -> Self {
        let (sign, word, tone) = match (&*server.state, &*server.status) {
            ("drain", _) => ('-', "drain", Tone::Muted),
            ("maintenance", _) => ('-', "maint.", Tone::Muted),
            (_, "down") => ('✗', "down", Tone::Bad),
            (_, "unstable") => ('!', "unstable", Tone::Warning),
            (_, "up") if server.eligible => ('✓', "up", Tone::Good),
            (_, "up") => ('-', "set aside", Tone::Muted),
            _ => ('?', "unknown", Tone::Muted),
        };
        Self { sign, word, tone }
    }

    fn rank(self) -> u8 {
        match self.word {
            "down" => 0,
            "unstable" => 1,
            "unknown" => 2,
            "up" => 4,
            _ => 3,
        }
    }
}

/// Those whose name, pool, state or reason holds the text, in order.
pub(super) fn chosen<'a>(known: &'a Known, filter: &str, (order, reversed): (Order, bool)) -> Vec<&'a Row> {
    let wanted = filter.to_lowercase();
    let holds = |text: &str| text.to_lowercase().contains(&wanted);
    let is_chosen = |(server, _): &&Row| {
        wanted.is_empty()
            || [&*server.id, &*server.pool, &*server.reason, Standing::of(server).word].into_iter().any(holds)
    };
    let mut rows: Vec<_> = known.servers.iter().filter(is_chosen).collect();
    rows.sort_by(|one, other| {
        let by = order.compare(one, other);
        if reversed { by.reverse() } else { by }
    });
    rows
}

/// Which columns there are, and how wide they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    known: &'a Known,
    ink: Ink,
    name: usize,
    /// 0 where there is one pool.
    pool: usize,
    numbers: &'static [Number],
    why: usize,
}

/// A column of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Requests,
    Share,
    Active,
    Latency,
    Weight,
}

impl Number {
    const ALL: [Self; 5] = [Self::Requests, Self::Share, Self::Active, Self::Latency, Self::Weight];

    fn title(self) -> &'static str {
        match self {
            Self::Requests => "Req/s",
            Self::Share => "Share",
            Self::Active => "Active",
            Self::Latency => "p95",
            Self::Weight => "Weight",
        }
    }

    const fn width(self) -> usize {
        match self {
            Self::Latency => 9,
            Self::Requests => 8,
            Self::Share | Self::Active | Self::Weight => 7,
        }
    }

    fn of(self, (server, share): &Row) -> String {
        match self {
            Self::Requests => count(share.rate),
            Self::Share => {
                share.part.map_or_else(|| NONE.to_owned(), |part| format!("{:.0} %", part * 100.0))
            }
            #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
            Self::Active => count(Some(server.active_connections as f64)),
            Self::Latency => millis(server.latency.p95),
            Self::Weight => server.weight.to_string(),
        }
    }
}

const NUMBERS: &[Number] = &Number::ALL;
/// Columns of the state.
const STATE: usize = 12;

impl<'a> Table<'a> {
    /// As it fits into so many columns: numbers go where names would have no room.
    pub(super) fn new(known: &'a Known, ink: Ink, width: usize) -> Self {
        let longest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let names = longest(&mut known.servers.iter().map(|(server, _)| width_of(&server.id)));
        let pools = longest(&mut known.pools.iter().map(|pool| width_of(&pool.name)));
        let most = if width >= WIDE { NUMBERS.len() } else { NUMBERS.len() - 1 };
        let taken =
            |numbers: &[Number]| numbers.iter().map(|number| number.width()).sum::<usize>() + STATE + 2;
        let fits = |numbers: &&[Number]| width >= taken(numbers) + LEAST_NAME;
        let numbers = (0..=most).rev().filter_map(|count| NUMBERS.get(..count)).find(fits).unwrap_or(&[]);
        let room = width.saturating_sub(taken(numbers));
        let pool = if known.pools.len() > 1 { pools.clamp(4, 16).min(room / 4) } else { 0 };
        let room = room.saturating_sub(pool + usize::from(pool > 0));
        let name = names.clamp(LEAST_NAME, MOST_NAME).min(room.max(LEAST_NAME));
        // Reasons begin to say something with a few words.
        let name = if room < name + 16 { name.min((room * 2 / 3).max(LEAST_NAME.min(room))) } else { name };
        let name = if room < name + 10 { room } else { name };
        Self { known, ink, name, pool, numbers, why: room.saturating_sub(name + 2) }
    }

    pub(super) fn head(&self) -> Line<'static> {
        let mut text = format!(" {} ", left("Server", self.name));
        if self.pool > 0 {
            text.push_str(&left("Pool", self.pool + 1));
        }
        text.push_str(&left("State", STATE));
        for number in self.numbers {
            text.push_str(&right(number.title(), number.width()));
        }
        if self.why > 0 {
            text.push_str("  Why");
        }
        Line::from(self.ink.span(text, Tone::Muted))
    }

    pub(super) fn row(&self, row: &Row) -> Line<'static> {
        let (server, _) = row;
        let standing = Standing::of(server);
        let mut spans = vec![self.ink.span(format!(" {} ", left(&server.id, self.name)), Tone::Usual)];
        if self.pool > 0 {
            spans.push(self.ink.span(left(&server.pool, self.pool), Tone::Muted));
            spans.push(Span::raw(" "));
        }
        let state = format!("{} {}", standing.sign, standing.word);
        spans.push(self.ink.span(left(&state, STATE), standing.tone));
        spans.extend(self.numbers.iter().map(|number| Span::raw(right(&number.of(row), number.width()))));
        if self.why > 0 {
            let why = for_so_long(&server.reason, &server.since, self.known);
            spans.push(self.ink.span(format!("  {why}"), Tone::Muted));
        }
        Line::from(spans)
    }
}

/// All of what is said of one server, for whom its column is too narrow, in one line or two.
pub(super) fn detail((known, ink): (&Known, Ink), (server, _): &Row, most: usize) -> Vec<Line<'static>> {
    let standing = Standing::of(server);
    let gets = match (standing.word, server.eligible) {
        ("up", _) => "",
        (_, true) => " (gets traffic)",
        (_, false) => " (no new traffic)",
    };
    let why = for_so_long(&server.reason, &server.since, known);
    let name = format!(" {} (pool {}) ", server.id, server.pool);
    let state = format!("{} {}{gets}", standing.sign, standing.word);
    let mut first = vec![ink.span(name, Tone::Strong), ink.span(state, standing.tone)];
    if most < 2 {
        first.push(Span::raw(format!(": {why}")));
        return vec![Line::from(first)];
    }
    vec![Line::from(first), Line::raw(format!("   {why}"))]
}
