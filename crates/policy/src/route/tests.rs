#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use loadweaver_config::{HostPattern, PathPattern, Route, RouteMatch};
use proptest::prelude::*;

use super::{RouteQuery, Router, Tried, Unmet};

fn router(matchers: impl IntoIterator<Item = RouteMatch>) -> Router {
    let route = |matcher| Route { name: "route".into(), matcher, pool: "pool".into() };
    Router::new(&matchers.into_iter().map(route).collect::<Vec<_>>())
}

fn ask(router: &Router, method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Option<usize> {
    let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_bytes());
    router.route(&RouteQuery { method, host, path, header: &header })
}

fn explain(router: &Router, method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Tried {
    let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_bytes());
    router.explain(&RouteQuery { method, host, path, header: &header })
}

fn host_taken(pattern: HostPattern, host: &str) -> bool {
    let matcher = RouteMatch { hosts: vec![pattern], ..RouteMatch::default() };
    ask(&router([matcher]), "GET", host, "/", &[]).is_some()
}

fn path_taken(path_pattern: PathPattern, path: &str) -> bool {
    let matcher = RouteMatch { path: path_pattern, ..RouteMatch::default() };
    ask(&router([matcher]), "GET", "a", path, &[]).is_some()
}

#[test]
fn first_match_wins() {
    let prefix = |path: &str| RouteMatch { path: PathPattern::Prefix(path.into()), ..RouteMatch::default() };
    let router = router([prefix("/a/b"), prefix("/a"), RouteMatch::default(), prefix("/never")]);
    for (path, expected) in [("/a/b/c", 0), ("/a/x", 1), ("/", 2), ("/never", 2)] {
        assert_eq!(ask(&router, "GET", "h", path, &[]), Some(expected), "{path}");
    }
}

#[test]
fn no_route_takes_what_none_matches() {
    assert_eq!(ask(&router([]), "GET", "h", "/", &[]), None);
    let only_post = RouteMatch { methods: vec!["POST".into()], ..RouteMatch::default() };
    assert_eq!(ask(&router([only_post]), "GET", "h", "/", &[]), None);
}

#[test]
fn a_host_is_compared_without_case_port_and_final_dot() {
    let exact = || HostPattern::Exact("api.example.com".into());
    for host in [
        "api.example.com",
        "API.Example.Com",
        "api.example.com:8080",
        "api.example.com.",
        "api.example.com.:80",
        "api.example.com:",
    ] {
        assert!(host_taken(exact(), host), "{host}");
    }
    for host in [
        "",
        ".",
        "example.com",
        "xapi.example.com",
        "api.example.com.evil",
        "api.example.com..",
        "a.api.example.com",
    ] {
        assert!(!host_taken(exact(), host), "{host}");
    }
}

#[test]
fn an_ipv6_host_keeps_its_brackets_and_loses_its_port() {
    for host in ["[::1]", "[::1]:80"] {
        assert!(host_taken(HostPattern::Exact("[::1]".into()), host), "{host}");
    }
    for host in ["[::1", "[::2]", "[", "[]", "[]:1", "::1"] {
        assert!(!host_taken(HostPattern::Exact("[::1]".into()), host), "{host}");
    }
}

#[test]
fn a_wildcard_takes_any_depth_and_not_its_own_name() {
    let wildcard = || HostPattern::Wildcard(".example.com".into());
    for host in ["a.example.com", "A.EXAMPLE.com:1", "a.b.c.example.com."] {
        assert!(host_taken(wildcard(), host), "{host}");
    }
    for host in ["example.com", ".example.com", "aexample.com", "a.example.com.net", "éxample.com"] {
        assert!(!host_taken(wildcard(), host), "{host}");
    }
}

#[test]
fn a_prefix_ends_on_the_border_of_a_segment() {
    for (prefix, path, taken) in [
        ("/v1", "/v1", true),
        ("/v1", "/v1/", true),
        ("/v1", "/v1/x", true),
        ("/v1", "/v10", false),
        ("/v1", "/V1", false),
        ("/v1", "/", false),
        ("/v1/", "/v1/", true),
        ("/v1/", "/v1/x", true),
        ("/v1/", "/v1", false),
        ("/", "/", true),
        ("/", "/anything", true),
        ("/", "*", false),
    ] {
        assert_eq!(path_taken(PathPattern::Prefix(prefix.into()), path), taken, "{prefix} and {path}");
    }
}

#[test]
fn an_exact_path_is_that_path_alone() {
    assert!(path_taken(PathPattern::Exact("/v1".into()), "/v1"));
    for path in ["/v1/", "/v1/x", "/v", "/V1"] {
        assert!(!path_taken(PathPattern::Exact("/v1".into()), path), "{path}");
    }
}

#[test]
fn a_regex_is_found_anywhere_unless_anchored() {
    assert!(path_taken(PathPattern::Regex(r"\.png".into()), "/a.png/b"));
    assert!(path_taken(PathPattern::Regex(r"^/\d+$".into()), "/42"));
    assert!(!path_taken(PathPattern::Regex(r"^/\d+$".into()), "/42/x"));
}

#[test]
fn a_regex_that_does_not_compile_takes_nothing() {
    assert!(!path_taken(PathPattern::Regex("(".into()), "("));
}

#[test]
fn every_condition_of_a_route_must_hold() {
    let matcher = RouteMatch {
        hosts: vec![HostPattern::Exact("a".into()), HostPattern::Exact("b".into())],
        path: PathPattern::Prefix("/v1".into()),
        methods: vec!["GET".into(), "HEAD".into()],
        headers: vec![("x-beta".into(), "1".into()), ("x-team".into(), "red".into())],
    };
    let router = router([matcher]);
    let both = [("x-beta", "1"), ("x-team", "red")];
    assert_eq!(ask(&router, "HEAD", "b", "/v1", &both), Some(0));
    assert_eq!(ask(&router, "POST", "b", "/v1", &both), None);
    assert_eq!(ask(&router, "head", "b", "/v1", &both), None);
    assert_eq!(ask(&router, "GET", "c", "/v1", &both), None);
    assert_eq!(ask(&router, "GET", "b", "/v2", &both), None);
    assert_eq!(ask(&router, "GET", "b", "/v1", &both[..1]), None);
    assert_eq!(ask(&router, "GET", "b", "/v1", &[("x-beta", "1"), ("x-team", "Red")]), None);
}

#[test]
fn a_first_route_for_everything_asks_nothing() {
    let router = router([RouteMatch::default(), RouteMatch::default()]);
    let header = |_: &str| panic!("asked");
    assert_eq!(router.route(&RouteQuery { method: "", host: "", path: "", header: &header }), Some(0));
}

#[test]
fn all_that_does_not_hold_is_told_of_each_route_up_to_the_one_that_takes_it() {
    let picky = RouteMatch {
        hosts: vec![HostPattern::Exact("a".into())],
        path: PathPattern::Prefix("/v1".into()),
        methods: vec!["GET".into()],
        headers: vec![("x-beta".into(), "1".into()), ("x-team".into(), "red".into())],
    };
    let path = RouteMatch { path: PathPattern::Exact("/v2".into()), ..RouteMatch::default() };
    let router = router([picky, path, RouteMatch::default(), RouteMatch::default()]);
    let tried = explain(&router, "PUT", "b", "/", &[("x-team", "red")]);
    let refused = vec![vec![Unmet::Method, Unmet::Host, Unmet::Path, Unmet::Header(0)], vec![Unmet::Path]];
    assert_eq!(tried, Tried { refused, route: Some(2) });
    let tried = explain(&router, "GET", "a", "/v1", &[("x-beta", "1"), ("x-team", "blue")]);
    assert_eq!(tried.refused[0], [Unmet::Header(1)]);
}

/// The same questions answered by taking everything apart into strings.
mod reference {
    use super::{HostPattern, PathPattern, RouteMatch};

    fn host(pattern: &HostPattern, sent: &str) -> bool {
        let name = match sent.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => sent,
        };
        let name = name.to_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        match pattern {
            HostPattern::Exact(exact) => name == exact,
            HostPattern::Wildcard(suffix) => {
                let above: Vec<&str> = suffix[1..].split('.').collect();
                let labels: Vec<&str> = name.split('.').collect();
                labels.len() > above.len()
                    && labels.ends_with(&above)
                    && (labels.len() > above.len() + 1 || !labels[0].is_empty())
            }
        }
    }

    fn path(pattern: &PathPattern, sent: &str) -> bool {
        match pattern {
            PathPattern::Any => true,
            PathPattern::Exact(exact) => sent == exact,
            PathPattern::Regex(text) => regex::Regex::new(text).unwrap().find(sent).is_some(),
            PathPattern::Prefix(prefix) => {
                let (wanted, found): (Vec<_>, Vec<_>) =
                    (prefix.split('/').collect(), sent.split('/').collect());
                match wanted.split_last() {
                    // A final slash: the segments before it, and at least an empty one after them.
                    Some((&"", before)) => found.len() > before.len() && found.starts_with(before),
                    _ => found.starts_with(&wanted),
                }
            }
        }
    }

    pub(super) fn takes(
        m: &RouteMatch,
        method: &str,
        name: &str,
        target: &str,
        sent: &[(&str, &str)],
    ) -> bool {
        let has = |(k, v): &(String, String)| sent.iter().any(|(n, value)| n == k && value == v);
        (m.hosts.is_empty() || m.hosts.iter().any(|pattern| host(pattern, name)))
            && path(&m.path, target)
            && (m.methods.is_empty() || m.methods.iter().any(|known| known == method))
            && m.headers.iter().all(has)
    }
}

fn matcher() -> impl Strategy<Value = RouteMatch> {
    let name = "[ab]{1,2}(\\.[ab]){0,2}";
    let host = prop_oneof![
        name.prop_map(HostPattern::Exact),
        name.prop_map(|name| HostPattern::Wildcard(format!(".{name}"))),
    ];
    let path = prop_oneof![
        Just(PathPattern::Any),
        "(/[ab]{1,2}){0,3}/?"
            .prop_map(|path| PathPattern::Prefix(format!("/{}", path.trim_start_matches('/')))),
        "(/[ab]{1,2}){1,3}".prop_map(PathPattern::Exact),
        "\\^?/[ab]\\$?".prop_map(PathPattern::Regex),
    ];
    let methods = prop::collection::vec(prop_oneof![Just("GET".to_owned()), Just("PUT".to_owned())], 0..2);
    let headers = prop::collection::vec(("x-[ab]", "[12]"), 0..2);
    (prop::collection::vec(host, 0..3), path, methods, headers)
        .prop_map(|(hosts, path, methods, headers)| RouteMatch { hosts, path, methods, headers })
}

proptest! {
    #[test]
    fn agrees_with_the_reference(
        matchers in prop::collection::vec(matcher(), 0..6),
        method in prop_oneof![Just("GET"), Just("PUT"), Just("get")],
        host in "[abAB]{1,2}(\\.[abAB]){0,3}\\.?(:[0-9]{0,3})?",
        path in "(/[ab]{0,2}){1,4}",
        header in prop_oneof![Just(None), ("x-[ab]", "[12]").prop_map(Some)],
    ) {
        let headers: Vec<(&str, &str)> = header.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected = matchers.iter().position(|m| reference::takes(m, method, &host, &path, &headers));
        let router = router(matchers.clone());
        prop_assert_eq!(ask(&router, method, &host, &path, &headers), expected);
        let tried = explain(&router, method, &host, &path, &headers);
        prop_assert_eq!(tried.route, expected);
        // Each route before it refused the request for something, and what is told of it alone is true.
        prop_assert_eq!(tried.refused.len(), expected.unwrap_or(matchers.len()));
        for (unmet, matcher) in tried.refused.iter().zip(&matchers) {
            prop_assert!(!unmet.is_empty());
            let asked = |what: &Unmet| {
                let mut one = RouteMatch::default();
                match what {
                    Unmet::Method => one.methods.clone_from(&matcher.methods),
                    Unmet::Host => one.hosts.clone_from(&matcher.hosts),
                    Unmet::Path => one.path = matcher.path.clone(),
                    Unmet::Header(place) => one.headers = vec![matcher.headers[*place].clone()],
                }
                one
            };
            for what in unmet {
                prop_assert!(!reference::takes(&asked(what), method, &host, &path, &headers), "{:?}", what);
            }
        }
    }

    #[test]
    fn no_host_or_path_breaks_it(matchers in prop::collection::vec(matcher(), 0..3), host in ".*", path in ".*") {
        ask(&router(matchers), "GET", &host, &path, &[]);
    }
}
