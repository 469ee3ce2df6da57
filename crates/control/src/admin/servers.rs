//! `/api/servers`: seen, added, removed, weighted, drained.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use loadweaver_config::{Server, ServerState};
use loadweaver_proxy::{PoolState, Snapshot};
use loadweaver_telemetry::rfc3339;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::SystemTime;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, Denied, Success, succeeded, succeeded_at, succeeded_with_all};
use super::asked::{Name, Query, Sent, Terms};
use super::change::{ChangeDone, Wish, changed, find, response};
use super::edit::servers::{self as edit, NewServer};
use super::openapi::{
    ChangeDenials, ChangeHeaders, ChangeParameters, LookDenials, PoolParameter, SendDenials,
};
use super::views::ServerView;
use super::vitals::ServerHealth;

/// A server that is to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"host": "127.0.0.1", "port": 3003, "weight": 1}))]
pub(super) struct AddServer {
    /// A name, an IP address, or a Unix socket that the configuration names already: `unix:/run/app.sock`.
    host: String,
    /// Needed unless the host is a Unix socket.
    #[schema(minimum = 1, maximum = 65535)]
    port: Option<u16>,
    /// Its share of the traffic, 0 to 1000; 1 unless given.
    #[schema(minimum = 0, maximum = 1000)]
    weight: Option<u32>,
    /// The address unless given.
    id: Option<String>,
    /// May be left out where there is one pool.
    pool: Option<String>,
    /// Exchanges under way at a time; 0, no limit, unless given.
    max_connections: Option<u32>,
    /// `active` unless given.
    state: Option<WantedState>,
    /// Sets the path that the probes of the whole pool ask for.
    health_check_path: Option<String>,
    /// Sets the interval of the probes of the whole pool: a text such as `5s`, or a number of milliseconds.
    health_check_interval: Option<Interval>,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WantedState {
    Active,
    Drain,
    Maintenance,
}

impl WantedState {
    fn name(self) -> &'static str {
        match self {
            Self::Active => ServerState::Active,
            Self::Drain => ServerState::Drain,
            Self::Maintenance => ServerState::Maintenance,
        }
        .name()
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "write a text such as \"5s\", or a number of milliseconds up to 4294967295")]
pub(super) enum Interval {
    Milliseconds(u32),
    Text(String),
}

/// A server that was added.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddedServer {
    #[schema(example = "127.0.0.1:3003")]
    server_id: String,
    host: String,
    /// None for a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    weight: u32,
    pool: String,
    /// The verdict on its health.
    #[schema(example = "unknown")]
    status: String,
    /// RFC 3339.
    added_at: String,
    #[serde(flatten)]
    applied: ChangeDone,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Weight {
    /// Share of the traffic; 0 gives it no new traffic.
    #[schema(minimum = 0, maximum = 1000, example = 5)]
    weight: u32,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    state: WantedState,
}

/// Which servers.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read from the query by hand")]
pub(super) struct ListParameters {
    /// Those of this pool.
    pool: Option<String>,
    /// Those that may have new traffic, or those that may not.
    eligible: Option<bool>,
}

/// All servers, or those of a pool.
#[utoipa::path(get, path = "/api/servers", tag = "servers", params(ListParameters),
    responses((status = 200, body = Success<Vec<ServerView>>), (status = 404, body = super::answer::Failure, description = "There is no such pool"), LookDenials))]
pub(super) async fn list(State(api): State<Api>, query: Query) -> Answer {
    query.only(&["pool", "eligible"])?;
    let eligible = query.text("eligible").map(|_| query.flag("eligible")).transpose()?;
    let snapshot = api.current.load();
    let wanted = query.text("pool");
    if let Some(name) = wanted.filter(|name| snapshot.pool(name).is_none()) {
        return Err(Denied::not_found(format!("there is no pool \"{name}\"")));
    }
    let pools = snapshot.pools.iter().filter(|pool| wanted.is_none_or(|wanted| *pool.config.name == *wanted));
    Ok(Views { api: &api, pools: pools.collect(), eligible }.shown())
}

/// Each server of some pools, written down as it is looked at: thousands at once are more than a cache holds.
pub(super) struct Views<'a> {
    pub(super) api: &'a Api,
    pub(super) pools: Vec<&'a Arc<PoolState>>,
    /// Only those of which this is so.
    pub(super) eligible: Option<bool>,
}

impl Views<'_> {
    pub(super) fn shown(self) -> Response {
        let expected = |pool: &&Arc<PoolState>| match self.eligible {
            Some(false) => pool.servers.len() - pool.up_count().min(pool.servers.len()),
            _ => pool.servers.len(),
        };
        succeeded_with_all(self.pools.iter().map(expected).sum(), self)
    }
}

impl Serialize for Views<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wanted = |pool: &PoolState, place: &usize| {
            let is = pool.servers.get(*place).is_some_and(|server| server.is_eligible());
            self.eligible.is_none_or(|wanted| wanted == is)
        };
        let views = self.pools.iter().flat_map(|pool| {
            let places = (0..pool.servers.len()).filter(move |place| wanted(pool, place));
            places.filter_map(|place| ServerView::of(&self.api.watched, pool, place))
        });
        serializer.collect_seq(views)
    }
}

impl Api {
    pub(super) fn views_of<'p>(&'p self, pool: &'p PoolState) -> impl Iterator<Item = ServerView> + 'p {
        (0..pool.servers.len()).filter_map(|place| ServerView::of(&self.watched, pool, place))
    }
}

/// One server.
#[utoipa::path(get, path = "/api/servers/{serverId}", tag = "servers",
    params(("serverId" = String, Path, description = "Percent-encoded where it has to be"), PoolParameter),
    responses((status = 200, body = Success<ServerView>), (status = 404, body = super::answer::Failure, description = "There is no such server"),
        (status = 409, body = super::answer::Failure, description = "It stands in several pools"), LookDenials))]
pub(super) async fn get(State(api): State<Api>, Name(id): Name, query: Query) -> Answer {
    query.only(&["pool"])?;
    let snapshot = api.current.load();
    let (pool, place) = locate(&snapshot, &id, &query)?;
    ServerView::of(&api.watched, pool, place).map(succeeded).ok_or_else(|| gone(&id))
}

/// What is known of a server's health: the verdict, the last probes, uptime, and whether probes become slower.
#[utoipa::path(get, path = "/api/servers/{serverId}/health", tag = "servers",
    params(("serverId" = String, Path), PoolParameter),
    responses((status = 200, body = Success<ServerHealth>), (status = 404, body = super::answer::Failure, description = "There is no such server"),
        (status = 409, body = super::answer::Failure, description = "It stands in several pools"), LookDenials))]
pub(super) async fn health(State(api): State<Api>, Name(id): Name, query: Query) -> Answer {
    query.only(&["pool"])?;
    let snapshot = api.current.load();
    let (pool, place) = locate(&snapshot, &id, &query)?;
    let mut health = ServerHealth::of(&api.watched, pool, place).ok_or_else(|| gone(&id))?;
    // Before all listeners are open nobody is brought back.
    if let Some(outlook) =
        api.followers().ok().and_then(|they| they.recoveries.outlook(&pool.config.name, &id))
    {
        health.explanation.add_change(outlook);
    }
    Ok(succeeded(health))
}

fn locate<'s>(snapshot: &'s Snapshot, id: &str, query: &Query) -> Result<(&'s PoolState, usize), Denied> {
    let (pool, place) = find(&snapshot.config, id, query.text("pool"))?;
    snapshot.pool(pool).map(|pool| (&**pool, place)).ok_or_else(|| gone(id))
}

fn gone(id: &str) -> Denied {
    Denied::not_found(format!("there is no server \"{id}\""))
}

/// Adds a server at the end of its pool.
#[utoipa::path(post, path = "/api/servers", tag = "servers", request_body = AddServer, params(ChangeParameters, ChangeHeaders),
    responses((status = 201, body = Success<AddedServer>, headers(("ETag" = String), ("Location" = String))),
        (status = 200, body = Success<ChangeDone>, description = "A dry run"), ChangeDenials, SendDenials))]
pub(super) async fn add(wish: Wish, body: Sent) -> Answer {
    let terms = wish.terms(&[])?;
    let wanted: AddServer = body.take()?;
    let (pool, id) = (wanted.pool.clone(), wanted.id.clone());
    let (host, port) = (wanted.host.clone(), wanted.port);
    let new = wanted.into_new();
    let applied = if new.is_plain() {
        wish.edit_server(terms, |config| edit::add(config, new)).await?
    } else {
        wish.edit_whole(terms, |document, config| edit::add_at_large(document, config, new)).await?
    };
    if !applied.applied {
        return Ok(response(StatusCode::OK, applied));
    }
    let snapshot = wish.api.current.load();
    let mut pools =
        snapshot.pools.iter().filter(|known| pool.as_ref().is_none_or(|name| *known.config.name == **name));
    let is_it = |server: &Server| match &id {
        Some(id) => *server.id == **id,
        None => server.tcp_port() == port && server.has_host(host.trim_matches(['[', ']'])),
    };
    let found =
        pools.find_map(|pool| Some((pool, pool.config.servers.iter().rposition(|server| is_it(server))?)));
    let view = found.and_then(|(pool, place)| ServerView::of(&wish.api.watched, pool, place));
    // Somebody else may have taken it away again, or its host may be a placeholder.
    Ok(match view {
        Some(view) => created(view, applied),
        None => response(StatusCode::CREATED, applied),
    })
}

fn created(view: ServerView, applied: ChangeDone) -> Response {
    let version = applied.version;
    let at = format!("/api/servers/{}?pool={}", encoded(&view.server_id), encoded(&view.pool));
    let added = AddedServer {
        server_id: view.server_id,
        host: view.host,
        port: view.port,
        weight: view.weight,
        pool: view.pool,
        status: view.status.to_owned(),
        added_at: rfc3339(SystemTime::now()),
        applied,
    };
    let mut response = succeeded_at(StatusCode::CREATED, version, added);
    if let Ok(at) = HeaderValue::try_from(at) {
        response.headers_mut().insert(LOCATION, at);
    }
    response
}

pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

impl AddServer {
    fn into_new(self) -> NewServer {
        let mut keys = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                keys.insert(key.to_owned(), value);
            }
        };
        put("id", self.id.map(Value::from));
        put("host", Some(self.host.into()));
        put("port", self.port.map(Value::from));
        put("weight", self.weight.map(Value::from));
        put("maxConnections", self.max_connections.map(Value::from));
        put("state", self.state.map(|state| state.name().into()));
        let probe_interval = self.health_check_interval.map(|interval| match interval {
            Interval::Milliseconds(number) if number.is_multiple_of(1000) => {
                format!("{}s", number / 1000).into()
            }
            Interval::Milliseconds(number) => format!("{number}ms").into(),
            Interval::Text(text) => text.into(),
        });
        NewServer { pool: self.pool, keys, probe_path: self.health_check_path, probe_interval }
    }
}

/// Takes a server out; what is under way there goes on for as long as a shutdown would allow.
#[utoipa::path(delete, path = "/api/servers/{serverId}", tag = "servers",
    params(("serverId" = String, Path), PoolParameter, ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials))]
pub(super) async fn remove(wish: Wish, Name(id): Name) -> Answer {
    let terms = wish.terms(&["pool"])?;
    let pool = wish.text("pool");
    let remove = move |config: &_| edit::remove(config, &id, pool.as_deref());
    changed(wish.edit_server(terms, remove).await)
}

/// Sets a server's weight.
#[utoipa::path(put, path = "/api/servers/{serverId}/weight", tag = "servers", request_body = Weight,
    params(("serverId" = String, Path), PoolParameter, ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials, SendDenials))]
pub(super) async fn set_weight(wish: Wish, Name(id): Name, body: Sent) -> Answer {
    let terms = wish.terms(&["pool"])?;
    let Weight { weight } = body.take()?;
    set(&wish, terms, (id, wish.text("pool")), ("weight", json!(weight))).await
}

/// Drains a server, takes it out for maintenance, or puts it back.
#[utoipa::path(put, path = "/api/servers/{serverId}/state", tag = "servers", request_body = Standing,
    params(("serverId" = String, Path), PoolParameter, ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials, SendDenials))]
pub(super) async fn set_state(wish: Wish, Name(id): Name, body: Sent) -> Answer {
    let terms = wish.terms(&["pool"])?;
    let Standing { state } = body.take()?;
    set(&wish, terms, (id, wish.text("pool")), ("state", state.name().into())).await
}

async fn set(
    wish: &Wish,
    terms: Terms,
    (id, pool): (String, Option<String>),
    key_and_value: (&'static str, Value),
) -> Answer {
    let set = move |config: &_| edit::set(config, (&id, pool.as_deref()), key_and_value);
    changed(wish.edit_server(terms, set).await)
}
