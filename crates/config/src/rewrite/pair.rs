//! Which element of a list became which.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use crate::raw::same;

/// For each new element, the old one that it was; each old one at most once.
pub(super) fn pairs(old: &[Value], new: &[Value]) -> Vec<Option<usize>> {
    // What is the same at both ends is not looked at closely: one change in a long list costs little more than to
    // compare the two.
    let head = old.iter().zip(new).take_while(|(old, new)| same(old, new)).count();
    let most = old.len().min(new.len()) - head;
    let tail =
        old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(old, new)| same(old, new)).count();
    let middle = |list: &[Value]| head..list.len() - tail;
    let between =
        pairs_between(old.get(middle(old)).unwrap_or_default(), new.get(middle(new)).unwrap_or_default());
    let shifted = between.into_iter().map(|pair| pair.map(|index| index + head));
    (0..head).map(Some).chain(shifted).chain((old.len() - tail..old.len()).map(Some)).collect()
}

fn pairs_between(old: &[Value], new: &[Value]) -> Vec<Option<usize>> {
    let mut pairs = vec![None; new.len()];
    let mut taken = vec![false; old.len()];
    for name in [itself, id, address, name] {
        by_name(old, new, name, (&mut pairs, &mut taken));
    }
    by_place(&mut pairs, &mut taken);
    pairs
}

fn by_name(
    old: &[Value],
    new: &[Value],
    name: fn(&Value) -> Option<String>,
    (pairs, taken): (&mut [Option<usize>], &mut [bool]),
) {
    let mut named: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (index, value) in old.iter().enumerate().filter(|(index, _)| taken.get(*index) == Some(&false)) {
        if let Some(name) = name(value) {
            named.entry(name).or_default().push_back(index);
        }
    }
    for (value, pair) in new.iter().zip(pairs).filter(|(_, pair)| pair.is_none()) {
        let found = name(value).and_then(|name| named.get_mut(&name)).and_then(VecDeque::pop_front);
        if let Some(taken) = found.and_then(|index| taken.get_mut(index)) {
            (*pair, *taken) = (found, true);
        }
    }
}

/// What has no name was what followed the element before, or what stood at the same place.
fn by_place(pairs: &mut [Option<usize>], taken: &mut [bool]) {
    let mut following = 0;
    for (index, pair) in pairs.iter_mut().enumerate() {
        if pair.is_none() {
            *pair = [following, index].into_iter().find(|old| taken.get(*old) == Some(&false));
            if let Some(taken) = pair.and_then(|old| taken.get_mut(old)) {
                *taken = true;
            }
        }
        following = pair.map_or(following, |old| old + 1);
    }
}

#[allow(clippy::unnecessary_wraps)] // the others have no name for every value
fn itself(value: &Value) -> Option<String> {
    Some(value.to_string())
}

fn id(value: &Value) -> Option<String> {
    value.get("id")?.as_str().map(str::to_owned)
}

fn address(value: &Value) -> Option<String> {
    Some(format!("{} {}", value.get("host")?, value.get("port")?))
}

fn name(value: &Value) -> Option<String> {
    value.get("name")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[allow(clippy::needless_pass_by_value)]
    fn pairs_of(old: Value, new: Value) -> Vec<Option<usize>> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        pairs(&list(&old), &list(&new))
    }

    #[test]
    fn by_value_then_id_then_address_then_name_then_place() {
        assert_eq!(pairs_of(json!(["a", "b", "c"]), json!(["c", "a"])), [Some(2), Some(0)]);
        assert_eq!(pairs_of(json!(["a", "a", "b"]), json!(["a", "b", "a"])), [Some(0), Some(2), Some(1)]);
        let old =
            json!([{ "id": "x", "port": 1 }, { "host": "h", "port": 2 }, { "name": "n", "pool": "p" }, [1]]);
        let new = json!([{ "name": "n", "pool": "q" }, { "host": "h", "port": 2, "weight": 3 }, { "id": "x" }, [2]]);
        assert_eq!(pairs_of(old, new), [Some(2), Some(1), Some(0), Some(3)]);
    }

    #[test]
    fn what_follows_the_same_neighbour_is_the_same() {
        assert_eq!(
            pairs_of(json!(["a", "b", "c"]), json!(["new", "a", "B", "c"])),
            [None, Some(0), Some(1), Some(2)]
        );
        assert_eq!(pairs_of(json!(["a"]), json!(["b", "c"])), [Some(0), None]);
        assert_eq!(pairs_of(json!([]), json!(["b"])), [None]);
    }
}
