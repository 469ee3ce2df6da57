//! What holds whatever happens, and in whatever order.

use proptest::prelude::*;

use super::*;

const SERVERS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone)]
enum Input {
    Pass(u64),
    Down(usize),
    Up(usize),
    Unstable(usize),
    Exit(usize),
    /// The action under way ends, well or not.
    End(usize, bool),
    /// The end of an action that is long over.
    LateEnd(usize),
    Trigger(usize),
    /// Which servers there are, and which of them are active.
    Apply(u8, u8),
    Retune(u64),
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let server = 0..SERVERS.len();
    let input = prop_oneof![
        4 => (0_u64..200).prop_map(Input::Pass),
        5 => server.clone().prop_map(Input::Down),
        3 => server.clone().prop_map(Input::Up),
        1 => server.clone().prop_map(Input::Unstable),
        1 => server.clone().prop_map(Input::Exit),
        4 => (server.clone(), any::<bool>()).prop_map(|(server, well)| Input::End(server, well)),
        1 => server.clone().prop_map(Input::LateEnd),
        1 => server.prop_map(Input::Trigger),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(there, active)| Input::Apply(there, active)),
        1 => (1_u64..3).prop_map(Input::Retune),
    ];
    proptest::collection::vec(input, 1..120)
}

/// What an onlooker knows from inputs and orders alone.
#[derive(Default)]
struct Onlooker {
    open: BTreeMap<Arc<str>, (u64, u32)>,
    begun: u64,
    ended: u64,
}

impl Onlooker {
    /// Each attempt is told of, begins, and ends once; then the next may.
    fn watch(&mut self, orders: &[Order]) {
        let mut told = None;
        for order in orders {
            match order {
                Order::Started { server, number } => told = Some((server.clone(), *number)),
                Order::Act { server, ticket, number, .. } => {
                    assert_eq!(told.take(), Some((server.clone(), *number)), "told before it begins");
                    let before = self.open.insert(server.clone(), (*ticket, *number));
                    assert_eq!(before, None, "two attempts at a time for {server}");
                    self.begun += 1;
                }
                Order::Drop { server, ticket } => {
                    assert_eq!(self.open.get(server).map(|open| open.0), Some(*ticket));
                }
                Order::Succeeded { server, number, .. } => {
                    assert_eq!(self.open.remove(server).map(|open| open.1), Some(*number));
                    self.ended += 1;
                }
                Order::Failed { server, number, reason } => match self.open.remove(server) {
                    Some((_, open)) => {
                        assert_eq!(open, *number);
                        self.ended += 1;
                    }
                    None => assert!(reason.ends_with("giving up"), "{reason}"),
                },
                Order::Held { .. } => {}
            }
        }
    }
}

fn feed(play: &mut Play, input: &Input, most: &mut u32) {
    let (ward, now) = (&mut play.ward, play.now);
    let name = |index: &usize| SERVERS[*index];
    match input {
        Input::Pass(_) => {}
        Input::Down(server) => ward.went_down(name(server), "refused".to_owned(), now),
        Input::Up(server) => ward.went_up(name(server), now),
        Input::Unstable(server) => ward.went_unstable(name(server), now),
        Input::Exit(server) => ward.process_ended(name(server), ("ended".to_owned(), String::new()), now),
        Input::End(server, well) => {
            let ticket = ward.cases.get(name(server)).and_then(Case::under_way).map_or(0, |of| of.ticket);
            let result = if *well { Ok(()) } else { Err("bad".to_owned()) };
            ward.acted(name(server), ticket, (result, String::new()), now);
        }
        Input::LateEnd(server) => ward.acted(name(server), 0, (Ok(()), String::new()), now),
        Input::Trigger(server) => {
            let _ = ward.trigger(name(server), now);
        }
        Input::Apply(there, active) => {
            let mut all = seats("a b c d e", &Recovery { max_concurrent: *most, ..rules() });
            let bit = |bits: u8, index: usize| bits & (1 << index) != 0;
            for (index, seat) in all.iter_mut().enumerate() {
                seat.active = bit(*active, index);
            }
            let kept = all.into_iter().enumerate().filter(|(index, _)| bit(*there, *index));
            ward.apply(kept.map(|(_, seat)| seat).collect(), BTreeMap::new(), now);
        }
        Input::Retune(places) => {
            *most = u32::try_from(*places).unwrap();
            let seats = seats("a b c d e", &Recovery { max_concurrent: *most, ..rules() });
            ward.apply(seats, BTreeMap::new(), now);
        }
    }
}

proptest! {
    #[test]
    fn holds_whatever_happens(inputs in inputs()) {
        let mut play = Play::of(seats("a b c d e", &rules()));
        let (mut onlooker, mut most) = (Onlooker::default(), 1);
        for input in &inputs {
            if let Input::Pass(time) = input {
                play.now += seconds(*time);
            }
            let held = play.ward.held.is_some();
            let may: Vec<Arc<str>> = play.ward.cases.iter()
                .filter(|(_, case)| case.gone).map(|(id, _)| id.clone()).collect();
            feed(&mut play, input, &mut most);
            let orders = play.ward.decide(play.now);
            onlooker.watch(&orders);
            for order in &orders {
                let Order::Act { server, number, .. } = order else { continue };
                let case = &play.ward.cases[server];
                let asked = matches!(input, Input::Trigger(_));
                let process = may.contains(server) || matches!(input, Input::Exit(_));
                prop_assert!(*number <= 3, "attempt {number}");
                prop_assert!(asked || case.active, "nobody else is at work on it");
                prop_assert!(asked || !case.well || case.gone, "only who is out");
                prop_assert!(asked || process || !held || play.ward.held.is_none(), "a hold holds");
                if !asked && !process {
                    // Those that are exempt take a place and need none.
                    let needs_place = |case: &&Case| case.last.back().is_some_and(|a| a.cause == Cause::Down);
                    let open = play.ward.cases.values().filter(|case| case.under_way().is_some());
                    let open = open.filter(needs_place).count();
                    prop_assert!(open <= most as usize, "{open} at a time");
                    prop_assert!(play.now >= case.out_since.unwrap() + seconds(30), "not before `after`");
                }
            }
            let totals = play.ward.totals;
            prop_assert_eq!(totals.attempts, onlooker.begun);
            prop_assert_eq!(onlooker.begun - onlooker.ended, onlooker.open.len() as u64);
            prop_assert!(totals.successes + totals.failures <= onlooker.ended);
            // Nobody who is due is forgotten, and nobody is woken for nothing.
            for case in play.ward.cases.values() {
                let due = matches!(case.phase, Phase::Waiting { until } if until <= play.now);
                prop_assert!(!due || !play.ward.may_begin(case));
            }
            if let Some(wake) = play.ward.next_wake(play.now) {
                prop_assert!(wake > play.now);
            }
        }
        let orders = play.ward.close("the end", play.now);
        onlooker.watch(&orders);
        prop_assert!(onlooker.open.is_empty(), "every attempt has an end");
    }
}
