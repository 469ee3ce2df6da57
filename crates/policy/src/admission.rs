//! Which servers of a pool get traffic, seen together.
//!
//! Health looks at one server; what it says is right as long as enough of the others are well. When most of a
//! pool is out, those that are left would get more than they can take and go out too, and the fault lies more
//! likely with the probes or the network than with each of the servers. So below `panicPercent` all get traffic
//! again, whatever their health (Envoy calls it the panic threshold), except those at which nobody listens: a
//! server that refuses connections, or whose name has no address, cannot take traffic, and each attempt there
//! would only cost a retry.
//!
//! A server that comes and goes is held out while enough others are well. It passes its probes, though, so it
//! comes in before those that do not: when the well ones alone would mean panic, or there are none.

/// How a server stands: what its operator wants, and what is believed of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// In `drain` or `maintenance`, or without weight: it never gets traffic, and does not count.
    Away,
    /// Told to start down, and not probed yet: as if it were not there.
    Waiting,
    /// Up, or not yet known to be anything else.
    Well,
    /// Up, but it comes and goes.
    Unstable,
    /// Out, though somebody is there.
    Sick,
    /// Out, and nobody is there.
    Unreachable,
}

/// Why a server gets traffic, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grounds {
    /// Its operator wants it to have none.
    Away,
    /// It waits for its first probe.
    Waiting,
    /// It is well, or not known to be anything else.
    Well,
    /// It comes and goes, and enough others are well: none.
    HeldOut,
    /// It comes and goes, and too few others are well.
    LastResort,
    /// It is out.
    Sick,
    /// It is out, and gets traffic all the same, since most of the pool is.
    Panic,
    /// Nobody is there.
    Unreachable,
}

impl Grounds {
    /// Whether it gets traffic.
    pub const fn lets_in(self) -> bool {
        match self {
            Self::Well | Self::LastResort | Self::Panic => true,
            Self::Away | Self::Waiting | Self::HeldOut | Self::Sick | Self::Unreachable => false,
        }
    }
}

/// Who gets traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// By the index of the server.
    pub eligible: Vec<bool>,
    /// Whether health is set aside.
    pub panic: bool,
    /// Whether servers that come and go are let in, since too few others are well.
    resort: bool,
    /// How many servers pass their probes: well or unstable.
    pub healthy: usize,
    /// Of how many: those that are neither away nor waiting.
    pub active: usize,
}

impl Admission {
    /// Why a server that stands so gets traffic, or none.
    pub fn grounds(&self, standing: Standing) -> Grounds {
        match standing {
            Standing::Away => Grounds::Away,
            Standing::Waiting => Grounds::Waiting,
            Standing::Well => Grounds::Well,
            Standing::Unstable if self.resort => Grounds::LastResort,
            Standing::Unstable => Grounds::HeldOut,
            Standing::Sick if self.panic => Grounds::Panic,
            Standing::Sick => Grounds::Sick,
            Standing::Unreachable => Grounds::Unreachable,
        }
    }
}

/// Decides who gets traffic. Panic is when fewer than `panic_percent` of the active servers are healthy; 0 is
/// never.
pub fn admit(standings: &[Standing], panic_percent: u32) -> Admission {
    let count = |wanted: Standing| standings.iter().filter(|&&standing| standing == wanted).count();
    let well = count(Standing::Well);
    let healthy = well + count(Standing::Unstable);
    let active = healthy + count(Standing::Sick) + count(Standing::Unreachable);
    let too_few = |servers: usize| (servers as u64) * 100 < (active as u64) * u64::from(panic_percent);
    let (panic, resort) = (too_few(healthy), too_few(well) || well == 0);
    let mut admission = Admission { eligible: Vec::new(), panic, resort, healthy, active };
    let eligible = standings.iter().map(|&standing| admission.grounds(standing).lets_in());
    admission.eligible = eligible.collect();
    admission
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Standing::{Away, Sick, Unreachable, Unstable, Waiting, Well};
    use super::*;

    fn admitted(standings: &[Standing], panic_percent: u32) -> (Vec<bool>, bool) {
        let admission = admit(standings, panic_percent);
        (admission.eligible, admission.panic)
    }

    #[test]
    fn one_of_two_down_is_no_panic_at_50() {
        assert_eq!(admitted(&[Well, Sick], 50), (vec![true, false], false));
        assert_eq!(admitted(&[Well, Sick], 51), (vec![true, true], true));
    }

    #[test]
    fn when_most_are_out_all_get_traffic_but_those_that_nobody_is_at() {
        let pool = [Well, Sick, Unreachable, Unstable, Away, Waiting];
        assert_eq!(admitted(&pool, 51), (vec![true, true, false, true, false, false], true));
        assert_eq!(admitted(&pool, 50), (vec![true, false, false, true, false, false], false));
        assert_eq!(admitted(&pool, 0), (vec![true, false, false, false, false, false], false));
    }

    #[test]
    fn with_nobody_reachable_nobody_gets_traffic() {
        assert_eq!(admitted(&[Unreachable, Unreachable, Away], 50), (vec![false; 3], true));
    }

    #[test]
    fn unstable_servers_are_the_last_resort_before_sick_ones() {
        assert_eq!(admitted(&[Unstable], 50), (vec![true], false));
        assert_eq!(admitted(&[Unstable, Sick], 50), (vec![true, false], false));
        assert_eq!(admitted(&[Unstable, Well], 50), (vec![false, true], false));
        // Too few are well, but enough are up: the sick one stays out.
        assert_eq!(admitted(&[Well, Unstable, Sick], 50), (vec![true, true, false], false));
        assert_eq!(admitted(&[Unstable, Sick], 0), (vec![true, false], false));
    }

    #[test]
    fn a_pool_that_waits_for_its_first_probes_does_not_panic() {
        assert_eq!(admitted(&[Waiting; 3], 100), (vec![false; 3], false));
        assert_eq!(admitted(&[Well, Waiting, Waiting], 100), (vec![true, false, false], false));
        assert_eq!(admitted(&[], 100), (vec![], false));
    }

    proptest! {
        #[test]
        fn laws(
            pool in prop::collection::vec(
                proptest::sample::select(vec![Away, Waiting, Well, Unstable, Sick, Unreachable]), 0..30,
            ),
            percent in 0_u32..=100,
        ) {
            let admission = admit(&pool, percent);
            prop_assert_eq!(admission.eligible.len(), pool.len());
            for (&eligible, &standing) in admission.eligible.iter().zip(&pool) {
                prop_assert!(!eligible || !matches!(standing, Away | Waiting | Unreachable));
                prop_assert!(eligible || standing != Well, "a server that is well is never held back");
                prop_assert!(eligible || standing != Sick || !admission.panic);
            }
            let some = |wanted: &[Standing]| pool.iter().any(|standing| wanted.contains(standing));
            let anybody = admission.eligible.contains(&true);
            prop_assert!(anybody || !some(&[Well, Unstable]), "somebody is up and gets nothing");
            prop_assert!(!admission.panic || anybody || !some(&[Sick]));
            // Who gets well never starts a panic.
            if let Some(sick) = pool.iter().position(|&standing| standing == Sick) {
                let mut better = pool.clone();
                better.splice(sick..=sick, [Well]);
                prop_assert!(admission.panic || !admit(&better, percent).panic);
            }
            let of_all = |standings: &[Standing]| pool.iter().filter(|one| standings.contains(one)).count();
            let active = of_all(&[Well, Unstable, Sick, Unreachable]);
            let healthy = of_all(&[Well, Unstable]);
            prop_assert_eq!((admission.active, admission.healthy), (active, healthy));
            prop_assert_eq!(admission.panic, healthy * 100 < active * percent as usize);
        }
    }
}
