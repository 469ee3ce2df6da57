//! The OpenAPI document, made from the handlers themselves: what is not in it is not served, and the other way round.

use std::collections::BTreeMap;

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Api, answer, config, dashboard, events, explain, exposition, guard, history, metrics, pools, problems,
    recoveries, requests, routes as routing, servers, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "LoadWeaver admin API", description = "See and change a running LoadWeaver.", version = env!("CARGO_PKG_VERSION")),
    components(schemas(answer::Failure)),
    security((), ("token" = [])),
    modifiers(&Tokens),
    tags(
        (name = "servers", description = "Servers of pools"),
        (name = "pools", description = "Groups of servers with one algorithm"),
        (name = "routes", description = "Which requests go to which pool"),
        (name = "config", description = "The whole configuration, its versions, and the ways back"),
        (name = "metrics", description = "Numbers"),
        (name = "explain", description = "Why a request goes where it goes, and what became of the last ones"),
        (name = "events", description = "What happened, and what happens"),
        (name = "webhooks", description = "Messages about events, and how they fare"),
        (name = "recoveries", description = "Servers that are brought back"),
        (name = "node", description = "For whoever stands in front of this node, and for people"),
    )
)]
struct Head;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of `admin.tokens`. Without any there, none is needed."));
        if let Some(components) = &mut document.components {
            components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
        }
    }
}

/// All routes with their part of the document.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(metrics::health))
        .routes(routes!(servers::list, servers::add))
        .routes(routes!(servers::get, servers::remove))
        .routes(routes!(servers::health))
        .routes(routes!(servers::set_weight))
        .routes(routes!(servers::set_state))
        .routes(routes!(pools::list, pools::add))
        .routes(routes!(pools::get, pools::replace, pools::remove))
        .routes(routes!(pools::algorithms))
        .routes(routes!(pools::set_algorithm))
        .routes(routes!(routing::list, routing::add))
        .routes(routes!(routing::get, routing::replace, routing::remove))
        .routes(routes!(config::get, config::put, config::patch))
        .routes(routes!(config::confirm))
        .routes(routes!(config::versions))
        .routes(routes!(config::rollback))
        .routes(routes!(metrics::node))
        .routes(routes!(metrics::servers))
        .routes(routes!(metrics::requests::requests))
        .routes(routes!(history::all))
        .routes(routes!(history::servers))
        .routes(routes!(exposition::metrics))
        .routes(routes!(explain::get))
        .routes(routes!(requests::list))
        .routes(routes!(requests::get))
        .routes(routes!(events::events))
        .routes(routes!(webhooks::list))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::redeliver))
        .routes(routes!(recoveries::list))
        .routes(routes!(recoveries::trigger))
        .routes(routes!(guard::whoami))
        .routes(routes!(dashboard::page))
        .routes(routes!(dashboard::asset))
        .routes(routes!(problems::list))
        .routes(routes!(super::status))
        .routes(routes!(super::livez))
        .routes(routes!(super::readyz))
        .routes(routes!(super::document))
}

/// The document as text. Operations are called by method and path: those are unique, names of functions are not.
pub(super) fn text(mut document: Document) -> String {
    for (path, item) in &mut document.paths.paths {
        let of_method = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
        ];
        for (method, operation) in of_method {
            if let Some(operation) = operation {
                operation.operation_id = Some(operation_id(method, path));
            }
        }
    }
    // It is made of texts and numbers; there is nothing in it that JSON cannot say.
    document.to_pretty_json().unwrap_or_default()
}

/// `putApiServersServerIdWeight`
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| {
        let (first, rest) = word.split_at(1);
        id + &first.to_ascii_uppercase() + rest
    })
}

/// Parameters of every change.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "read from the query by hand")]
pub(super) struct ChangeParameters {
    /// Only say what would change.
    dry_run: Option<bool>,
    /// Undone by itself after this time, such as `60s`, unless `POST /api/config/confirm` comes first.
    #[param(example = "60s")]
    confirm: Option<String>,
}

/// Headers of every change.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read from the headers by hand")]
pub(super) struct ChangeHeaders {
    /// The ETag of the version that the change is made for; with another one in force nothing changes.
    #[param(rename = "If-Match", example = "\"7\"")]
    if_match: Option<String>,
}

/// Which pool's server.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read from the query by hand")]
pub(super) struct PoolParameter {
    /// Needed only where several pools have a server of that id.
    pool: Option<String>,
}

/// Why a request that only looks may be denied.
pub(super) struct LookDenials;

/// Why a change may be denied.
pub(super) struct ChangeDenials;

/// Why a body may be denied.
pub(super) struct SendDenials;

impl IntoResponses for LookDenials {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        denials(&[
            ("400", "A parameter is not known, or cannot be read"),
            ("401", "There are tokens, and none of them was sent"),
            ("403", "Host or Origin is foreign"),
        ])
    }
}

impl IntoResponses for ChangeDenials {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut all = denials(&[
            ("400", "A parameter or the body cannot be read"),
            (
                "403",
                "The token may only look, Host or Origin is foreign, or the change is not for the API to make: what runs programs, names files or names variables comes from the file",
            ),
            ("404", "What is to be changed is not there"),
            (
                "409",
                "It contradicts what is there, an address is taken, or a change waits for its confirmation",
            ),
            ("412", "Made for another version than the one in force"),
            ("422", "The configuration would be wrong"),
            ("500", "LoadWeaver failed over it, which is a fault of its own"),
            ("503", "Too many changes are under way, or the node is not ready"),
        ]);
        all.extend(denials(&[("401", "There are tokens, and none of them was sent")]));
        all
    }
}

impl IntoResponses for SendDenials {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        denials(&[("413", "The body is too long"), ("415", "The body's Content-Type is not taken here")])
    }
}

fn denials(list: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let failure = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Failure"))).build();
    let response =
        |what: &str| ResponseBuilder::new().description(what).content("application/json", failure()).build();
    list.iter().map(|(status, what)| ((*status).to_owned(), response(what).into())).collect()
}

#[cfg(test)]
mod tests;
