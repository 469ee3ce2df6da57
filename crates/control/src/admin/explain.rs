//! `/api/explain`: why a request would go where it would go.

use axum::extract::State;
use axum::response::Response;
use utoipa::IntoParams;

use super::Api;
use super::answer::{Answer, Denied, Issue, Success, succeeded_with_all};
use super::asked::{Query, bad_query};
use super::openapi::LookDenials;
use crate::explain::{Asked, Explanation, Misfit, Scene, explain};

/// A request to explain.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "read from the query by hand")]
pub(super) struct Imagined {
    /// `GET` unless given.
    #[param(example = "GET")]
    method: Option<String>,
    /// The field `Host`; the listener's own address unless given.
    #[param(example = "api.example.com")]
    host: Option<String>,
    /// Path and query as they would be sent; `/` unless given.
    #[param(example = "/v1/users")]
    path: Option<String>,
    /// Further headers, each written `name: value`.
    #[param(example = json!(["x-beta: 1"]))]
    header: Option<Vec<String>>,
    /// Who connects; somebody who is no trusted proxy unless given.
    #[param(example = "192.0.2.7")]
    client_ip: Option<String>,
    /// Where the request comes in; found by the port of `host` unless given.
    listener: Option<String>,
}

const PARAMETERS: [&str; 6] = ["method", "host", "path", "header", "clientIp", "listener"];

/// What would become of a request, and why: listener, routes, pool, servers, and what holds for the exchange. Nothing
/// is sent and nothing counted.
#[utoipa::path(get, path = "/api/explain", tag = "explain", params(Imagined),
    responses((status = 200, body = Success<Explanation>), LookDenials))]
pub(super) async fn get(State(api): State<Api>, query: Query) -> Answer {
    query.only_with_lists(&PARAMETERS, &["header"])?;
    let asked = read(&query).map_err(denied)?;
    explained(&api, &asked)
}

fn explained(api: &Api, asked: &Asked) -> Result<Response, Denied> {
    let snapshot = api.current.load();
    let mut scene = Scene { live: Some(api.watched.started.1), ..Scene::at_rest(&snapshot) };
    if let Some(sight) = api.sight.get() {
        scene.addresses = sight.proxy.addresses();
    }
    let explanation = explain(&scene, asked).map_err(denied)?;
    Ok(succeeded_with_all(explanation.servers.len(), explanation))
}

fn read(query: &Query) -> Result<Asked, Misfit> {
    let mut asked = Asked::default();
    for text in query.all("header") {
        asked.add_header(text)?;
    }
    if let Some(method) = query.text("method") {
        method.clone_into(&mut asked.method);
    }
    if let Some(host) = query.text("host") {
        asked.host = Some(host.to_owned());
    }
    if let Some(path) = query.text("path") {
        path.clone_into(&mut asked.path);
    }
    if let Some(client) = query.text("clientIp") {
        asked.set_client(client)?;
    }
    asked.listener = query.text("listener").map(str::to_owned);
    Ok(asked)
}

fn denied(misfit: Misfit) -> Denied {
    bad_query(vec![Issue::new(format!("?{}", misfit.at), misfit.problem, misfit.help)])
}
