//! `/api/routes`: which requests go to which pool. The first that matches wins, so a new one says where it stands.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, Denied, Failure, Success, succeeded_at};
use super::asked::{Name, Query, Sent};
use super::change::{ChangeDone, Wish, changed, response};
use super::edit::routes as edit;
use super::openapi::{ChangeDenials, ChangeHeaders, ChangeParameters, LookDenials, SendDenials};
use super::pools::object;

/// A route.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RouteView {
    #[schema(example = "api")]
    name: String,
    #[schema(example = "app")]
    pool: String,
    /// Its place: 0 is asked first.
    place: usize,
    /// As it is written in the file: what `PUT` takes.
    #[schema(value_type = Object)]
    config: Value,
}

/// A route as `config.json` has it.
#[derive(Debug, ToSchema)]
#[schema(value_type = Object, example = json!({"name": "api", "match": {"path": "/v1/"}, "pool": "app"}))]
#[expect(dead_code, reason = "what it holds is for the configuration's checker to judge")]
pub(super) struct RouteDocument(Value);

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read from the query by hand")]
pub(super) struct Before {
    /// The name of the route that the new one shall stand before; behind all others unless given.
    before: Option<String>,
}

/// All routes, in the order in which they are asked.
#[utoipa::path(get, path = "/api/routes", tag = "routes",
    responses((status = 200, body = Success<Vec<RouteView>>, headers(("ETag" = String))),
        (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn list(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    let (version, views) = views(&api)?;
    Ok(succeeded_at(StatusCode::OK, version, views))
}

/// One route.
#[utoipa::path(get, path = "/api/routes/{name}", tag = "routes", params(("name" = String, Path)),
    responses((status = 200, body = Success<RouteView>, headers(("ETag" = String))),
        (status = 404, body = Failure, description = "There is no such route"),
        (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn get(State(api): State<Api>, Name(name): Name, query: Query) -> Answer {
    query.only(&[])?;
    let (version, views) = views(&api)?;
    let view = views.into_iter().find(|view| view.name == name);
    let view = view.ok_or_else(|| Denied::not_found(format!("there is no route \"{name}\"")))?;
    Ok(succeeded_at(StatusCode::OK, version, view))
}

fn views(api: &Api) -> Result<(u64, Vec<RouteView>), Denied> {
    let (version, document) = api.written()?;
    let snapshot = api.current.load();
    let view = |(place, route): (usize, &loadweaver_config::Route)| RouteView {
        name: route.name.to_string(),
        pool: route.pool.to_string(),
        place,
        config: edit::written(&document, &snapshot.config, place),
    };
    Ok((version, snapshot.config.routes.iter().enumerate().map(view).collect()))
}

/// Adds a route.
#[utoipa::path(post, path = "/api/routes", tag = "routes", request_body = RouteDocument,
    params(Before, ChangeParameters, ChangeHeaders),
    responses((status = 201, body = Success<ChangeDone>, headers(("ETag" = String))),
        (status = 200, body = Success<ChangeDone>, description = "A dry run"), ChangeDenials, SendDenials))]
pub(super) async fn add(wish: Wish, body: Sent) -> Answer {
    let terms = wish.terms(&["before"])?;
    let route = Value::Object(object(body.0)?);
    let before = wish.text("before");
    let add =
        move |document: &Value, config: &_| edit::add(document, config, route.clone(), before.as_deref());
    let applied = wish.edit(terms, add).await?;
    let status = if applied.applied { StatusCode::CREATED } else { StatusCode::OK };
    Ok(response(status, applied))
}

/// Replaces a route where it stands. Without a name in the body it keeps the one that it has.
#[utoipa::path(put, path = "/api/routes/{name}", tag = "routes", request_body = RouteDocument,
    params(("name" = String, Path), ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials, SendDenials))]
pub(super) async fn replace(wish: Wish, Name(name): Name, body: Sent) -> Answer {
    let terms = wish.terms(&[])?;
    let mut route = object(body.0)?;
    route.entry("name").or_insert_with(|| name.clone().into());
    let route = Value::Object(route);
    let replace = move |document: &Value, config: &_| edit::replace(document, config, &name, route.clone());
    changed(wish.edit(terms, replace).await)
}

/// Takes a route out.
#[utoipa::path(delete, path = "/api/routes/{name}", tag = "routes",
    params(("name" = String, Path), ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials))]
pub(super) async fn remove(wish: Wish, Name(name): Name) -> Answer {
    let terms = wish.terms(&[])?;
    changed(wish.edit(terms, move |document, config| edit::remove(document, config, &name)).await)
}
