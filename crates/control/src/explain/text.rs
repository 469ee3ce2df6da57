//! An explanation as a person reads it.

use std::fmt::{self, Display, Write as _};

use super::{Explanation, FailureView, RouteTried, ServerChance};

/// Most routes and servers that are written out.
const SHOWN: usize = 50;

/// All of it in a sentence or two.
pub(super) fn summary(e: &Explanation) -> String {
    let asked = &e.request;
    let mut text = format!("{} {} at {} ", asked.method, asked.path, asked.host);
    let told = |failure: &FailureView| format!("{} {}", failure.status, failure.code);
    let failure = e.failure.as_ref().map(told).unwrap_or_default();
    let way = match (&e.route, &e.pool) {
        (Some(route), Some(pool)) => format!("route {route} sends it to pool {pool}"),
        _ => format!("none of {} routes takes it", e.routes.len()),
    };
    let rest = match e.outcome {
        "redirected" => format!(
            "comes in at listener {}, which sends it to where TLS is spoken ({})",
            e.listener.name,
            e.redirect_status.unwrap_or_default()
        ),
        "refused" if e.routes.is_empty() => format!("is refused before any route is tried: {failure}"),
        "refused" => format!("is refused: {way}, and the client is told {failure}"),
        "failed" => format!(
            "cannot be served now: {way}, where no server takes traffic, and the client is told {failure}"
        ),
        _ => forwarded(e, &way),
    };
    text.push_str(&rest);
    text
}

fn forwarded(e: &Explanation, way: &str) -> String {
    let takers = e.servers.iter().filter(|server| server.takes_traffic).count();
    let of = format!("{takers} of {} servers", e.servers.len());
    let choice = e.choice.as_ref();
    let algorithm = choice.map_or("", |choice| choice.algorithm);
    let next = choice.and_then(|choice| choice.next.as_deref());
    match (next, e.live) {
        (Some(next), true) => format!("is served: {way}, where {algorithm} over {of} would take {next} now"),
        (Some(next), false) => format!("is served: {way}, where {algorithm} takes {next} if all are well"),
        (None, true) => format!("is served: {way}, where {algorithm} chooses among {of}"),
        (None, false) => {
            format!("is served: {way}, where {algorithm} chooses among {of}, as far as they are well")
        }
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.summary)?;
        let from = self.request.client_ip.as_deref().map(|ip| format!(", client {ip}")).unwrap_or_default();
        let listener = &self.listener;
        writeln!(
            f,
            "listener {} on {} ({}){from}",
            listener.name,
            listener.addresses.join(", "),
            listener.reason
        )?;
        self.write_routes(f)?;
        self.write_pool(f)?;
        self.write_terms(f)?;
        if let Some(failure) = &self.failure {
            let when = if failure.now {
                "the client is told"
            } else {
                "if no server can take it, the client is told"
            };
            let whose = if failure.fallback { ", the pool's fallback" } else { "" };
            writeln!(f, "{when}: {} {}{whose}", failure.status, failure.code)?;
        }
        if !self.live {
            f.write_str("How the servers are is not known here: ask the running node, GET /api/explain.")?;
        }
        Ok(())
    }
}

impl Explanation {
    fn write_routes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.routes.is_empty() {
            return Ok(());
        }
        writeln!(f, "routes, in order:")?;
        let hidden = self.routes.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(f, "  … {hidden} that do not match")?;
        }
        for route in self.routes.iter().skip(hidden) {
            write_route(f, route)?;
        }
        match self.routes_not_tried {
            0 => Ok(()),
            1 => writeln!(f, "  1 route behind it is not tried"),
            more => writeln!(f, "  {more} routes behind it are not tried"),
        }
    }

    fn write_pool(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(pool), Some(choice)) = (&self.pool, &self.choice) else { return Ok(()) };
        writeln!(f, "pool {pool}: {}, {}", choice.algorithm, choice.how)?;
        for server in self.servers.iter().take(SHOWN) {
            write_server(f, server)?;
        }
        if self.servers.len() > SHOWN {
            writeln!(f, "  … and {} more", self.servers.len() - SHOWN)?;
        }
        match (&choice.next, self.live) {
            (Some(next), true) => writeln!(f, "  next: {next}"),
            (Some(next), false) => writeln!(f, "  next, if all are well: {next}"),
            (None, _) => Ok(()),
        }
    }

    fn write_terms(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(terms) = &self.terms else { return Ok(()) };
        writeln!(f, "retry: {}", terms.retry.rule)?;
        let mut times = String::new();
        for (name, time) in &terms.timeouts {
            let _ = write!(times, "{}{name} {time}", if times.is_empty() { "" } else { ", " });
        }
        writeln!(f, "time-outs: {times}")?;
        let mut limits = String::new();
        for (name, most) in &terms.limits {
            let _ = write!(limits, "{}{name} {most}", if limits.is_empty() { "" } else { ", " });
        }
        writeln!(f, "limits: {limits}")?;
        writeln!(f, "on the way:")?;
        terms.filters.iter().try_for_each(|filter| writeln!(f, "  - {filter}"))
    }
}

fn write_route(f: &mut fmt::Formatter<'_>, route: &RouteTried) -> fmt::Result {
    let RouteTried { name, place, pool, .. } = route;
    if route.matched {
        return writeln!(f, "  {}. {name}: takes it -> pool {pool}", place + 1);
    }
    let unmet: Vec<_> = route.unmet.iter().map(|unmet| &*unmet.reason).collect();
    writeln!(f, "  {}. {name}: no, {}", place + 1, unmet.join("; "))
}

fn write_server(f: &mut fmt::Formatter<'_>, server: &ServerChance) -> fmt::Result {
    write!(f, "  - {}", server.address)?;
    if server.server_id != server.address {
        write!(f, " ({})", server.server_id)?;
    }
    if server.weight != 1 {
        write!(f, ", weight {}", server.weight)?;
    }
    match &server.standing {
        Some(standing) => writeln!(f, ": {standing}"),
        None if server.reasons.is_empty() => writeln!(f),
        None => {
            let reasons: Vec<_> = server.reasons.iter().map(|reason| &*reason.reason).collect();
            writeln!(f, ": out, {}", reasons.join("; "))
        }
    }
}
