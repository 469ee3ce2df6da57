//! A connection for an attempt where none was kept.

use loadweaver_config::Protocol;
use loadweaver_policy::failure::Failure;

use crate::deadline::Nanos;
use crate::exchange::Exchange;
use crate::forward::Effort;
use crate::pool::Permit;
use crate::upstream::announce::Announced;
use crate::upstream::{self, Lease, Manner};

/// A new connection, or a place on one that is shared.
pub(super) async fn connect(
    x: &Exchange<'_>,
    effort: &Effort,
    permit: &Permit,
    now: Nanos,
    (fresh, announced): (bool, Option<Announced>),
) -> Result<Lease, Failure> {
    let config = &effort.pool.config;
    let limit = config.timeouts.connect;
    let may_share = match config.protocol {
        Protocol::Auto => config.tls.is_some(),
        Protocol::Http1 => false,
        Protocol::Http2 | Protocol::H2c => true,
    };
    if may_share {
        let terms = (config.protocol, &config.connection_pool, limit);
        if x.websocket.is_some() {
            // Boxed: no other exchange pays for its room.
            let leased = upstream::socket::lease(x.worker, &permit.server, x.alarm, terms, fresh);
            return Box::pin(leased).await;
        }
        return upstream::shared::lease(x.worker, &permit.server, x.alarm, terms, fresh).await;
    }
    let Some(announced) = announced else {
        return upstream::connect(&permit.server, &x.worker.stock, x.alarm, (now, limit), Manner::Usual(&[]))
            .await;
    };
    let header = announced.header(x);
    let manner = Manner::Usual(&header);
    let connecting = upstream::connect(&permit.server, &x.worker.stock, x.alarm, (now, limit), manner);
    let mut lease = Box::pin(connecting).await?;
    lease.announced = Some(Box::new(announced));
    Ok(lease)
}
