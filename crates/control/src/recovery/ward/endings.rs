//! How attempts end: well, badly, or before it is known.

use std::sync::Arc;
use std::time::Duration;

use super::super::case::{Case, Outcome, Phase, Stage, UnderWay};
use super::{Order, Ward};

impl Ward {
    pub(super) fn end_watches(&mut self, now: Duration) {
        let over: Vec<(Arc<str>, Duration, bool)> = self
            .cases
            .iter()
            .filter_map(|(id, case)| match case.under_way()?.stage {
                Stage::Watching { acted, until } if until <= now => Some((Arc::clone(id), acted, case.well)),
                _ => None,
            })
            .collect();
        for (id, acted, well) in over {
            let Some((id, mut case)) = self.cases.remove_entry(&id) else { continue };
            if well {
                // It was never seen down, so it was well from the action's end on.
                self.succeed(&id, &mut case, acted, now);
            } else {
                let within = case.rules.as_ref().map_or(Duration::ZERO, |rules| rules.within);
                let how = if case.unstable { "unstable" } else { "still down" };
                let why = format!("{how} {within:?} after the action: {}", case.reason);
                self.fail(&id, &mut case, why, now);
            }
            self.cases.insert(id, case);
        }
    }

    /// `well_at` is when the server was well again, `now` when that became certain.
    pub(super) fn succeed(&mut self, id: &Arc<str>, case: &mut Case, well_at: Duration, now: Duration) {
        let Some(UnderWay { number, began, .. }) = case.under_way().cloned() else { return };
        let took = well_at.saturating_sub(began);
        let out = well_at.saturating_sub(case.out_since.unwrap_or(began));
        case.conclude(Outcome::Succeeded, took);
        case.totals.out += out;
        self.totals.successes += 1;
        self.totals.out += out;
        case.phase = Phase::Idle;
        case.last_end = Some(now);
        case.come_back(well_at);
        self.orders.push(Order::Succeeded { server: Arc::clone(id), number, took });
    }

    pub(super) fn fail(&mut self, id: &Arc<str>, case: &mut Case, mut reason: String, now: Duration) {
        let Some(UnderWay { number, began, .. }) = case.under_way().cloned() else { return };
        case.conclude(Outcome::Failed(reason.clone()), now.saturating_sub(began));
        self.totals.failures += 1;
        case.last_end = Some(now);
        case.phase = Phase::Idle;
        if (case.well || case.unstable) && !case.gone {
            (case.well, case.unstable) = (true, false);
            case.come_back(now);
        } else if case.is_used_up() {
            case.phase = Phase::GivenUp;
            reason = format!("{reason}; giving up after {number} attempts");
        } else {
            self.plan(id, case, now);
        }
        self.orders.push(Order::Failed { server: Arc::clone(id), number, reason });
    }

    pub(super) fn cut_short(&mut self, id: &Arc<str>, case: &mut Case, why: &str, now: Duration) {
        if let Some(UnderWay { ticket, number, began, .. }) = case.under_way().cloned() {
            case.conclude(Outcome::CutShort(why.to_owned()), now.saturating_sub(began));
            case.last_end = Some(now);
            self.orders.push(Order::Drop { server: Arc::clone(id), ticket });
            let reason = format!("cut short: {why}");
            self.orders.push(Order::Failed { server: Arc::clone(id), number, reason });
        }
        if std::mem::take(&mut case.unstable) {
            case.well = true;
            case.come_back(now);
        }
        case.phase = Phase::Idle;
    }
}
