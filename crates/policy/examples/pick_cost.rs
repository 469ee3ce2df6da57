//! Prints what one pick and its release cost, for each algorithm and number of servers, and what it costs to
//! publish that a server left, and to make the balancer that takes over when one is added.
//!
//! `cargo run --release -p loadweaver-policy --example pick_cost`

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use loadweaver_config::Algorithm;
use loadweaver_policy::balance::{Balancer, FULL_SHARE, Member, Pick};

const SIZES: [u32; 3] = [2, 200, 2_000];
const PICKS: u32 = 1_000_000;
const ROUNDS: usize = 7;
/// Exchanges under way at a time, so that `least_connections` has something to compare.
const UNDER_WAY: usize = 64;

fn main() {
    println!("nanoseconds per pick and release, best of {ROUNDS} rounds of {PICKS}; weights 1 to 4");
    print!("{:22}", "servers");
    for size in SIZES {
        print!("{size:>10}");
    }
    println!("{:>22}{:>22}{:>18}", "2,000, half refused", "publish at 2,000, us", "one more, us");
    for algorithm in Algorithm::ALL {
        print!("{:22}", algorithm.name());
        for size in SIZES {
            print!("{:>10.1}", cost(&balancer(algorithm, size), |_| true));
        }
        // For least_connections this is the worst there is: the refused ones are the idlest.
        print!("{:>22.1}", cost(&balancer(algorithm, 2_000), |index| index % 2 == 0));
        print!("{:>22.1}", publish_cost(&balancer(algorithm, 2_000), 2_000));
        println!("{:>18.1}", succeed_cost(algorithm, 2_000));
    }
}

fn balancer(algorithm: Algorithm, size: u32) -> Balancer {
    Balancer::new(algorithm, &members(size))
}

fn members(size: u32) -> Vec<Member> {
    (0..size).map(|n| Member { id: format!("server-{n}").into(), weight: 1 + n % 4 }).collect()
}

fn cost(balancer: &Balancer, usable: impl Fn(usize) -> bool + Copy) -> f64 {
    let best = (0..ROUNDS).map(|_| round(balancer, usable)).min().unwrap_or_default();
    best.as_secs_f64() * 1e9 / f64::from(PICKS)
}

/// In microseconds.
fn publish_cost(balancer: &Balancer, size: usize) -> f64 {
    let mut shares = vec![FULL_SHARE; size];
    let start = Instant::now();
    for index in 0..100 {
        shares.get_mut(index * 7).into_iter().for_each(|one| *one = 0);
        balancer.publish(&shares);
    }
    start.elapsed().as_secs_f64() * 1e6 / 100.0
}

/// In microseconds, with the first `publish`: one server more each time.
fn succeed_cost(algorithm: Algorithm, size: u32) -> f64 {
    let mut balancer = balancer(algorithm, size);
    let mut took = Duration::ZERO;
    for size in size..size + 10 {
        let from: Vec<_> = (0..size as usize).map(Some).chain([None]).collect();
        let (members, shares) = (members(size + 1), vec![FULL_SHARE; from.len()]);
        let start = Instant::now();
        let next = balancer.succeed(algorithm, &members, &from);
        next.publish(&shares);
        took += start.elapsed();
        balancer = next;
    }
    took.as_secs_f64() * 1e6 / 10.0
}

fn round(balancer: &Balancer, usable: impl Fn(usize) -> bool) -> Duration {
    let mut under_way = [None; UNDER_WAY];
    let mut random = 1_u64;
    let start = Instant::now();
    for n in 0..PICKS {
        // A generator that costs next to nothing (Knuth's MMIX constants); picks mix it themselves.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let client = IpAddr::V4(Ipv4Addr::from_bits((random >> 32) as u32));
        let picked = black_box(balancer.pick(&Pick { client, random, tried: &[] }, &usable));
        let place = under_way.get_mut(n as usize % UNDER_WAY);
        if let Some(done) = place.and_then(|place| std::mem::replace(place, picked)) {
            balancer.release(done);
        }
    }
    let took = start.elapsed();
    under_way.into_iter().flatten().for_each(|index| balancer.release(index));
    took
}
