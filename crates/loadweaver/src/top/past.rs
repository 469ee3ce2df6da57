//! The last minutes and the last hour as the node keeps them, taken over piece by piece.

use serde::Deserialize;

use super::shapes::Text;

/// Points that are kept, as the node does: five minutes of seconds, an hour of ten seconds.
const MOST_OF_SECONDS: usize = 300;
const MOST_OF_TENS: usize = 360;
/// Points of a second that "now" is over where a single one says too little.
const LATELY: usize = 10;

/// A number for each point, the oldest first; none where nothing was measured.
pub(super) type Column = Vec<Option<f32>>;

/// `/api/history`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lines {
    /// When the process began: numbers of points begin anew with it.
    pub(super) started_at: Text,
    step: u64,
    first: u64,
    last: i64,
    /// When the last point ended.
    pub(super) at: Option<Text>,
    pub(super) node: Columns,
    pub(super) pools: Vec<PoolColumns>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Columns {
    pub(super) requests: Column,
    pub(super) errors: Column,
    pub(super) active: Column,
    pub(super) up: Column,
    pub(super) p50: Column,
    pub(super) p95: Column,
    pub(super) p99: Column,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct PoolColumns {
    pub(super) name: Text,
    #[serde(flatten)]
    pub(super) columns: Columns,
}

/// Requests and errors over the last ten seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Lately {
    pub(super) requests: f32,
    pub(super) errors: f32,
}

impl Lines {
    /// The number of the last point; none before the first one.
    pub(super) fn last(&self) -> Option<u64> {
        u64::try_from(self.last).ok().filter(|_| self.step > 0)
    }

    /// Whether the answer is of another process than what is known: then all of it has to be asked for anew.
    pub(super) fn is_of_another(&self, known: &Self) -> bool {
        self.started_at != known.started_at
    }

    /// Takes over what came after the last point that is known, or all of it where that does not fit.
    pub(super) fn take(&mut self, news: Self) {
        let next = self.last().map(|last| last + 1);
        let follows = !news.is_of_another(self) && news.step == self.step && Some(news.first) == next;
        if !follows {
            *self = news;
            return;
        }
        let most = if news.step == 1 { MOST_OF_SECONDS } else { MOST_OF_TENS };
        let length = self.node.requests.len();
        let before = std::mem::take(&mut self.pools);
        self.node.append(news.node, most);
        self.pools = news.pools.into_iter().map(|pool| joined(&before, length, pool, most)).collect();
        self.last = news.last;
        self.at = news.at.or(self.at.take());
        let kept = self.node.requests.len() as u64;
        self.first = self.last().map_or(0, |last| (last + 1).saturating_sub(kept));
    }

    pub(super) fn pool(&self, name: &Text) -> Option<&Columns> {
        self.pools.iter().find(|pool| pool.name == *name).map(|pool| &pool.columns)
    }
}

/// A pool that was not there before has had nothing measured until now.
fn joined(before: &[PoolColumns], length: usize, news: PoolColumns, most: usize) -> PoolColumns {
    let known = before.iter().find(|pool| pool.name == news.name).map(|pool| pool.columns.clone());
    let mut columns = known.unwrap_or_else(|| Columns::unmeasured(length));
    columns.append(news.columns, most);
    PoolColumns { name: news.name, columns }
}

impl Columns {
    fn unmeasured(length: usize) -> Self {
        let empty = || vec![None; length];
        Self {
            requests: empty(),
            errors: empty(),
            active: empty(),
            up: empty(),
            p50: empty(),
            p95: empty(),
            p99: empty(),
        }
    }

    fn append(&mut self, news: Self, most: usize) {
        let Self { requests, errors, active, up, p50, p95, p99 } = news;
        for (known, news) in [
            (&mut self.requests, requests),
            (&mut self.errors, errors),
            (&mut self.active, active),
            (&mut self.up, up),
            (&mut self.p50, p50),
            (&mut self.p95, p95),
            (&mut self.p99, p99),
        ] {
            known.extend(news);
            known.drain(..known.len().saturating_sub(most));
        }
    }

    pub(super) fn lately(&self) -> Lately {
        let sum = |column: &Column| column.iter().rev().take(LATELY).flatten().sum();
        Lately { requests: sum(&self.requests), errors: sum(&self.errors) }
    }

    /// The share of errors, point by point.
    pub(super) fn error_shares(&self) -> Column {
        let share = |(all, errors): (&Option<f32>, &Option<f32>)| {
            all.map(|all| if all > 0.0 { (errors.unwrap_or(0.0) / all).min(1.0) } else { 0.0 })
        };
        self.requests.iter().zip(&self.errors).map(share).collect()
    }
}

impl Lately {
    /// None without requests.
    pub(super) fn share(self) -> Option<f32> {
        (self.requests > 0.0).then(|| (self.errors / self.requests).min(1.0))
    }
}

/// The last number of a column; none where the last point has none.
pub(super) fn newest(column: &Column) -> Option<f64> {
    column.last().copied().flatten().map(f64::from)
}

/// The hour of a column in so many cells, each the least of its points.
pub(super) fn cells(column: &Column, wanted: usize) -> Column {
    let missing = MOST_OF_TENS.saturating_sub(column.len());
    let at = |place: usize| place.checked_sub(missing).and_then(|place| *column.get(place)?);
    let least = |cell: usize| {
        let points = (cell * MOST_OF_TENS / wanted)..((cell + 1) * MOST_OF_TENS / wanted);
        points.filter_map(at).reduce(f32::min)
    };
    (0..wanted).map(least).collect()
}

#[cfg(test)]
mod tests;
