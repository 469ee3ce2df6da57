#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use serde_json::json;

use super::*;

/// Points of one process; each has its number as the requests.
fn lines(started: &str, first: u16, last: u16, pools: &[&str]) -> Lines {
    let column: Vec<f32> = (first..=last).map(f32::from).collect();
    let columns = json!({"requests": column, "errors": column, "active": column, "up": column,
        "p50": column, "p95": column, "p99": column});
    let pool = |name: &&str| {
        let mut pool = columns.clone();
        pool["name"] = json!(name);
        pool
    };
    let pools: Vec<_> = pools.iter().map(pool).collect();
    let all = json!({"startedAt": started, "step": 1, "first": first, "last": last,
        "at": "2026-01-01T00:00:00Z", "node": columns, "pools": pools});
    serde_json::from_value(all).unwrap()
}

#[test]
fn what_follows_is_added_and_no_more_is_kept_than_the_node_keeps() {
    let mut known = lines("a", 0, 299, &["app"]);
    known.take(lines("a", 300, 309, &["app"]));
    assert_eq!(known.node.requests.len(), 300);
    assert_eq!((known.node.requests[0], newest(&known.node.requests)), (Some(10.0), Some(309.0)));
    assert_eq!((known.first, known.last()), (10, Some(309)));
    assert_eq!(known.pools[0].columns.p99.len(), 300);
}

#[test]
fn an_answer_without_news_changes_nothing() {
    let mut known = lines("a", 0, 4, &["app"]);
    let mut nothing = lines("a", 5, 5, &["app"]);
    nothing.last = 4;
    nothing.node = Columns::default();
    nothing.pools[0].columns = Columns::default();
    known.take(nothing);
    assert_eq!((known.node.requests.len(), known.last()), (5, Some(4)));
    known.take(lines("a", 5, 6, &["app"]));
    assert_eq!((known.node.requests.len(), known.last()), (7, Some(6)));
}

#[test]
fn points_of_another_process_take_the_place_of_all() {
    let mut known = lines("a", 0, 200, &["app"]);
    known.take(lines("b", 201, 203, &["app"]));
    assert_eq!(known.node.requests.len(), 3);
}

#[test]
fn a_gap_begins_anew() {
    let mut known = lines("a", 0, 4, &["app"]);
    known.take(lines("a", 7, 9, &["app"]));
    assert_eq!(known.node.requests.len(), 3);
}

#[test]
fn a_new_pool_has_nothing_before_and_one_that_is_gone_is_gone() {
    let mut known = lines("a", 0, 4, &["old"]);
    known.take(lines("a", 5, 6, &["new"]));
    assert_eq!(known.pools.len(), 1);
    let new = known.pool(&Text::new("new")).unwrap();
    assert_eq!(new.up, [None, None, None, None, None, Some(5.0), Some(6.0)]);
}

#[test]
fn a_young_hour_begins_with_empty_cells_and_a_cell_shows_its_worst() {
    let mut column = vec![Some(1.0); 12];
    column[3] = Some(0.5);
    let cells = cells(&column, 60);
    assert_eq!(cells[..58], vec![None; 58]);
    assert_eq!(cells[58..], [Some(0.5), Some(1.0)]);
}

#[test]
fn shares_of_errors_never_are_more_than_all_nor_of_nothing() {
    assert_eq!(Lately { requests: 10.0, errors: 20.0 }.share(), Some(1.0));
    assert_eq!(Lately::default().share(), None);
}
