//! What a ward orders, carried out: actions begun and called off, events told.

use std::sync::Arc;

use loadweaver_proxy::PoolState;
use loadweaver_telemetry::event::Event;
use tokio::sync::oneshot;

use super::ward::Order;
use super::{Action, Care, Key, Kind, Recoveries, deed, process};
use crate::target::Target;

impl Recoveries {
    pub(super) fn carry_out(&self, care: &mut Care, pool: &Arc<PoolState>, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Act { server, ticket, number, reason } => {
                    self.act(care, pool, &server, (ticket, number, reason));
                }
                Order::Drop { server, ticket } => {
                    let key = (pool.config.name.clone(), server);
                    if care.actions.get(&key).is_some_and(|action| action.ticket == ticket)
                        && let Some(action) = care.actions.remove(&key)
                    {
                        care.leave(key, Kind::Action, action.task);
                    }
                }
                other => self.tell(care, pool, other),
            }
        }
    }

    fn act(
        &self,
        care: &mut Care,
        pool: &Arc<PoolState>,
        server: &Arc<str>,
        (ticket, number, reason): (u64, u32, String),
    ) {
        let key = (pool.config.name.clone(), Arc::clone(server));
        let Some(deed) = deed::of(care, &key, (number, reason)) else { return };
        let previous = care.predecessor(&key, Kind::Action);
        let (called_off, told) = oneshot::channel();
        let (us, mine) = (self.clone(), key.clone());
        let task = tokio::spawn(async move {
            if let Some(previous) = previous {
                let _ = previous.await;
            }
            // A task of its own, so that even its panic is an outcome.
            let acted = tokio::spawn(deed.go(told)).await;
            let acted = acted.unwrap_or_else(|death| (Err(format!("it died: {death}")), String::new()));
            us.acted(&mine, ticket, acted);
        });
        care.actions.insert(key, Action { ticket, _called_off: called_off, task });
    }

    fn acted(&self, key: &Key, ticket: u64, acted: process::Acted) {
        {
            let mut care = self.lock();
            if care.actions.get(key).is_none_or(|action| action.ticket != ticket) {
                return;
            }
            care.actions.remove(key);
        }
        self.with(&key.0, |ward, now| ward.acted(&key.1, ticket, acted, now));
    }

    fn tell(&self, care: &Care, pool: &PoolState, order: Order) {
        let name = pool.config.name.clone();
        let target = |id: &Arc<str>| {
            let server = pool.config.servers.iter().find(|server| server.id == *id);
            server.map(|server| Target::of(&name, server).reference())
        };
        let event = match order {
            Order::Started { server: id, number: attempt } => {
                let rules = care.pools.get(&name).and_then(|(ward, _)| ward.cases.get(&id)?.rules.as_ref());
                let action = rules.map_or("", |rules| rules.action.name());
                target(&id).map(|server| Event::RecoveryStarted {
                    pool: name.clone(),
                    server,
                    attempt,
                    action,
                })
            }
            Order::Succeeded { server: id, number: attempt, took } => target(&id)
                .map(|server| Event::RecoverySucceeded { pool: name.clone(), server, attempt, took }),
            Order::Failed { server: id, number: attempt, reason } => target(&id)
                .map(|server| Event::RecoveryFailed { pool: name.clone(), server, attempt, reason }),
            Order::Held { reason } => Some(Event::RecoveryHeld { pool: name.clone(), reason }),
            Order::Act { .. } | Order::Drop { .. } => None,
        };
        if let Some(event) = event {
            self.shared.bus.emit(event);
        }
    }
}
