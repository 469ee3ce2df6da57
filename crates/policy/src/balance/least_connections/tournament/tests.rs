#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::super::Seat;
use super::{ASIDE, Tournament};

fn tournament(servers: u32) -> Tournament {
    let mut tournament = Tournament::default();
    let members: Vec<_> = (0..servers).map(|_| tournament.begin_life()).collect();
    tournament.hand_over(1, &members);
    let seats = (0..servers).map(|index| Seat { index, weight: 1_000, share: 1_000 });
    tournament.enter(&seats.collect::<Vec<_>>());
    tournament
}

#[test]
fn whoever_is_set_aside_plays_again_in_the_next_pick() {
    let mut tournament = tournament(100);
    let aside = u32::try_from(ASIDE).unwrap();
    for refused in [0, 1, aside - 1, aside, aside + 1, 99, 100] {
        tournament.pick(|index| index >= refused);
        assert!(tournament.players.iter().all(|player| player.plays), "after {refused} were refused");
    }
}

#[test]
fn root_is_the_best_after_every_change() {
    let mut tournament = tournament(37);
    for n in 0..2_000 {
        if n % 3 == 2 {
            tournament.release(n * 7 % 37);
        } else {
            tournament.pick(|_| true);
        }
        let best = tournament.players.iter().map(|player| (player.active, player.turn_ended)).min();
        let root = &tournament.players[tournament.best().unwrap() as usize];
        assert_eq!(Some((root.active, root.turn_ended)), best);
    }
}

#[test]
fn sizes_that_are_no_power_of_two_lose_nobody() {
    for servers in 1..70 {
        let mut tournament = tournament(servers);
        let mut picked: Vec<u32> = (0..servers).filter_map(|_| tournament.pick(|_| true)).collect();
        picked.sort_unstable();
        assert_eq!(picked, (0..servers).collect::<Vec<_>>());
    }
}
