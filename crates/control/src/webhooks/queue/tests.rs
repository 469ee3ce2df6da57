#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use loadweaver_telemetry::event::{EventBus, ServerRef};

use super::*;

fn server(id: usize) -> ServerRef {
    ServerRef { id: format!("s{id}").into(), address: format!("10.0.0.{id}:80") }
}

fn down(pool: &str, id: usize) -> Event {
    Event::ServerDown {
        pool: pool.into(),
        server: server(id),
        reason: "refused".into(),
        cause: "connect_refused",
    }
}

fn up(pool: &str, id: usize) -> Event {
    Event::ServerUp { pool: pool.into(), server: server(id), reason: "well".into() }
}

fn pool_down(pool: &str) -> Event {
    Event::PoolDown { pool: pool.into(), reason: "all".into() }
}

fn filled(events: impl IntoIterator<Item = Event>) -> Queue {
    filled_within(WAITING, events)
}

fn filled_within(limit: usize, events: impl IntoIterator<Item = Event>) -> Queue {
    let bus = EventBus::of_node("lb-1", 4);
    let mut queue = Queue::new(limit);
    for event in events {
        bus.emit(event);
        queue.push(bus.recent(1).remove(0));
    }
    queue
}

/// Messages in short: an event's name with what it is about, a list with its entries.
fn all(queue: &mut Queue) -> Vec<String> {
    let mut now = Instant::now();
    let mut told = Vec::new();
    loop {
        match queue.next(now, false) {
            Next::Nothing => return told,
            Next::NotBefore(at) => now = at,
            Next::Now(Taken::Message(message)) => told.push(message.id.to_string()),
            Next::Now(Taken::Event(event, _)) => told.push(short(&event)),
            Next::Now(Taken::Servers(list, _)) => {
                let entries: Vec<String> = list.events.iter().map(short).collect();
                told.push(format!("{} of {}: {}", entries.len(), list.count, entries.join(" ")));
            }
        }
    }
}

fn short(event: &Arc<StampedEvent>) -> String {
    let event = &event.event;
    let server = event.server().map_or(String::new(), |server| format!("/{}", server.id));
    let name = event.name().trim_start_matches("server_");
    format!("{}{server} {name}", event.pool().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn a_few_events_are_told_one_by_one_in_their_order() {
    let mut queue = filled([down("a", 1), up("a", 1), down("a", 2), pool_down("a")]);
    assert_eq!(all(&mut queue), ["a/s1 down", "a/s1 up", "a/s2 down", "a pool_down"]);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_servers_at_once_are_one_list_with_the_last_state_of_each() {
    let flips = (0..500).map(|id| down("a", id)).chain((0..500).map(|id| up("a", id)));
    let mut queue = filled(flips.chain([down("a", 7)]));
    let told = all(&mut queue);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("500 of 1001: "), "{}", told[0]);
    assert_eq!(told[0].matches(" up").count(), 499);
    assert!(told[0].ends_with("a/s7 down"));
}

#[tokio::test(start_paused = true)]
async fn what_is_about_a_pool_is_told_by_itself_and_in_its_place() {
    let pools = ["a", "b", "c"];
    let fall = |pool: &'static str| (0..4).map(move |id| down(pool, id)).chain([pool_down(pool)]);
    let rise = |pool: &'static str| {
        [up(pool, 0), Event::PoolUp { pool: pool.into() }]
            .into_iter()
            .chain((1..4).map(move |id| up(pool, id)))
    };
    let mut queue = filled(pools.into_iter().flat_map(fall).chain(pools.into_iter().flat_map(rise)));
    let told = all(&mut queue);
    // Twelve went down, whatever pool they are of; no server rose before its pool's own events were told.
    assert!(told[0].starts_with("12 of 12: a/s0 down"), "{told:?}");
    assert!(!told[0].contains("up"), "{told:?}");
    assert_eq!(told[1..4], ["a pool_down", "b pool_down", "c pool_down"]);
    assert_eq!(told[4], "a/s0 up");
    for pool in pools {
        for name in ["pool_down", "pool_up"] {
            assert_eq!(told.iter().filter(|each| **each == format!("{pool} {name}")).count(), 1);
        }
        let place = |words: String| told.iter().position(|each| each.contains(&words)).unwrap();
        assert!(place(format!("{pool}/s0 up")) < place(format!("{pool} pool_up")), "{told:?}");
        assert!(place(format!("{pool} pool_up")) < place(format!("{pool}/s1 up")), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_event_overtakes_one_about_the_node() {
    let mut events: Vec<Event> = (0..5).map(|id| down("a", id)).collect();
    events.push(Event::ShutdownStarted);
    events.extend((5..8).map(|id| down("b", id)));
    let told = all(&mut filled(events));
    assert!(told[0].starts_with("5 of 5"), "{told:?}");
    assert_eq!(told[1], " shutdown_started");
    assert_eq!(told[2..], ["b/s5 down", "b/s6 down", "b/s7 down"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_added_is_told_beside_its_health() {
    let mut events: Vec<Event> =
        (0..3).map(|id| Event::ServerAdded { pool: "a".into(), server: server(id) }).collect();
    events.extend((0..3).map(|id| up("a", id)));
    assert_eq!(
        all(&mut filled(events)),
        ["6 of 6: a/s0 added a/s1 added a/s2 added a/s0 up a/s1 up a/s2 up"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_flips_gathers_once_the_burst_is_used_up() {
    let mut queue = filled([]);
    let bus = EventBus::of_node("lb-1", 4);
    let mut now = Instant::now();
    let mut messages = 0;
    // A flip every 10 ms for 20 s, to a target that takes no time.
    for flip in 0..2000 {
        bus.emit(down("a", flip));
        queue.push(bus.recent(1).remove(0));
        while let Next::Now(_) = queue.next(now, false) {
            messages += 1;
        }
        now += Duration::from_millis(10);
    }
    assert!((20..30).contains(&messages), "{messages}");
    // In a hurry the rest goes at once.
    assert!(queue.len() > 0);
    assert!(matches!(queue.next(now, true), Next::Now(_)));
    assert!(matches!(queue.next(now, true), Next::Nothing));
}

#[tokio::test(start_paused = true)]
async fn a_list_has_an_end_and_says_what_comes_later() {
    let mut queue = filled((0..LIST_LIMIT + 300).map(|id| down("a", id)));
    let Next::Now(Taken::Servers(list, 0)) = queue.next(Instant::now(), false) else { panic!() };
    assert_eq!((list.events.len(), list.count, list.more), (LIST_LIMIT, LIST_LIMIT, 300));
    let Next::Now(Taken::Servers(list, 0)) = queue.next(Instant::now(), false) else { panic!() };
    assert_eq!((list.events.len(), list.count, list.more), (300, 300, 0));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_gives_way_and_the_next_message_says_so() {
    let mut queue = filled_within(3, (0..10).map(|id| pool_down(&format!("p{id}"))));
    assert_eq!((queue.len(), queue.dropped()), (3, 7));
    let Next::Now(Taken::Event(event, 7)) = queue.next(Instant::now(), false) else { panic!() };
    assert_eq!(event.event, pool_down("p7"));
    assert!(matches!(queue.next(Instant::now(), false), Next::Now(Taken::Event(_, 0))));
    assert_eq!(queue.dropped(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_asked_for_goes_first_and_has_a_limit() {
    let mut queue = filled([pool_down("a")]);
    let message = |id: usize| Message { id: id.to_string().into(), event: "test", body: "".into() };
    assert!((0..BY_HAND).all(|id| queue.push_by_hand(message(id))));
    assert!(!queue.push_by_hand(message(99)));
    let told = all(&mut queue);
    assert_eq!((told[0].as_str(), told[BY_HAND].as_str()), ("0", "a pool_down"));
}
