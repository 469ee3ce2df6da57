//! What holds while workers pick and another thread publishes.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::*;

const WORKERS: usize = 4;
const PICKS: usize = 20_000;

fn query(random: usize, tried: &[usize]) -> Pick<'_> {
    let client = IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(random % (1 << 20)).unwrap()));
    Pick { client, random: random as u64, tried }
}

/// Counts publications. After an odd one servers 4 to 7 are out.
#[derive(Default)]
struct Publications {
    begun: AtomicUsize,
    over: AtomicUsize,
}

impl Publications {
    fn next(&self, balancer: &Balancer) {
        let next = self.begun.fetch_add(1, SeqCst) + 1;
        let mut eligible = [true, true, true, true, false, false, false, false, false, true];
        eligible[4..8].fill(next.is_multiple_of(2));
        publish(balancer, &eligible);
        self.over.store(next, SeqCst);
    }

    /// A pick, and whether 4 to 7 were surely out during all of it.
    fn watch(&self, pick: impl FnOnce() -> Option<usize>) -> (usize, bool) {
        let before = self.over.load(SeqCst);
        let picked = pick().unwrap();
        (picked, before % 2 == 1 && self.begun.load(SeqCst) == before)
    }
}

/// Servers 0 to 3 never leave (though 1 is full), 4 to 7 come and go, 8 is never in, 9 has no weight.
#[test]
fn a_pick_sees_every_publication_that_was_over_when_it_began() {
    for algorithm in Algorithm::ALL {
        let balancer = balancer(algorithm, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
        let (publications, done, seen_out) =
            (Publications::default(), AtomicBool::new(false), AtomicUsize::new(0));
        publications.next(&balancer);
        let work = |worker: usize| {
            for n in 0..PICKS {
                let random = worker * PICKS + n;
                let first = publications.watch(|| balancer.pick(&query(random, &[]), |index| index != 1));
                let tried = [first.0];
                let second = publications.watch(|| balancer.pick(&query(random, &tried), |index| index != 1));
                for (picked, out) in [first, second] {
                    assert!(picked < 8 && picked != 1, "{algorithm:?}: {picked} is never to be picked");
                    assert!(!out || picked < 4, "{algorithm:?}: {picked} was out");
                    seen_out.fetch_add(usize::from(out), SeqCst);
                    balancer.release(picked);
                }
                assert_ne!(first.0, second.0, "{algorithm:?}");
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    publications.next(&balancer);
                    thread::yield_now();
                }
            });
            let ends: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            done.store(true, SeqCst);
            assert!(ends.iter().all(Result::is_ok), "{algorithm:?}");
        });
        assert!(seen_out.into_inner() > 0, "{algorithm:?}: the test never saw what it tests");
    }
}

/// All workers' picks together, none released. They begin at once, or the first would be done too early.
fn picked_by_all(balancer: &Balancer, each: usize) -> BTreeMap<usize, usize> {
    let start = Barrier::new(WORKERS);
    let work = |worker: usize| {
        start.wait();
        let picks = (0..each).filter_map(|n| balancer.pick(&query(worker * each + n, &[]), |_| true));
        picks.collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
        tally(workers.into_iter().flat_map(|worker| worker.join().unwrap()))
    })
}

#[test]
fn turns_are_exact_over_all_workers() {
    let balancer = balancer(Algorithm::RoundRobin, &[1; 8]);
    assert!(picked_by_all(&balancer, 200_000).values().all(|&had| had == 100_000));
    let balancer = super::balancer(Algorithm::WeightedRoundRobin, &[5, 1, 2]);
    let due = BTreeMap::from([(0, 500_000), (1, 100_000), (2, 200_000)]);
    assert_eq!(picked_by_all(&balancer, 200_000), due);
}

#[test]
fn least_connections_counts_exactly_over_all_workers() {
    let balancer = balancer(Algorithm::LeastConnections, &[1, 2, 5]);
    assert_eq!(picked_by_all(&balancer, 2_000), BTreeMap::from([(0, 1_000), (1, 2_000), (2, 5_000)]));
    thread::scope(|scope| {
        for (index, count) in [(0, 1_000), (1, 2_000), (2, 5_000)] {
            let balancer = &balancer;
            scope.spawn(move || (0..count).for_each(|_| balancer.release(index)));
        }
    });
    // All counts are back at 0: what follows is the same as at the start.
    assert_eq!(picked_by_all(&balancer, 200), BTreeMap::from([(0, 100), (1, 200), (2, 500)]));
}
