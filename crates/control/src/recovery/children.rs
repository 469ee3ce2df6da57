//! Which processes run: those that the configuration names, each for its server.
//!
//! A child is its server's, whatever pool that stands in: it goes on as long as the same program is to run for the same
//! server, and is told of nothing. Only another program, another address or another environment is another child.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use loadweaver_config::{Pool, RecoveryAction, Server};
use loadweaver_policy::health::Observation;
use loadweaver_proxy::Snapshot;

use super::process::{Charge, Keeper};
use super::{Care, Key, Kind, Recoveries, Shared};
use crate::target::Target;

impl Recoveries {
    /// Starts and ends processes, so that those run that the configuration names.
    pub(super) fn keep(&self, care: &mut Care, snapshot: &Snapshot) {
        let mut wanted: HashMap<Key, Charge> = HashMap::new();
        for pool in snapshot.pools.iter().filter(|pool| super::heals(&pool.config)) {
            for server in &pool.config.servers {
                if let Some(charge) = charge(&pool.config, server) {
                    wanted.insert((pool.config.name.clone(), server.id.clone()), charge);
                }
            }
        }
        let stays = |key: &Key, keeper: &Keeper| wanted.get(key).is_some_and(|charge| keeper.suits(charge));
        let mut leaving: Vec<(Key, Keeper)> =
            care.keepers.extract_if(|key, keeper| !stays(key, keeper)).collect();
        for (key, charge) in &wanted {
            if !care.keepers.contains_key(key)
                && let Some(place) = leaving.iter().position(|(_, keeper)| keeper.suits(charge))
            {
                care.keepers.insert(key.clone(), leaving.swap_remove(place).1);
            }
        }
        for (key, keeper) in leaving {
            care.leave(key, Kind::Process, keeper.stop());
        }
        for (key, charge) in wanted {
            if let Some(keeper) = care.keepers.get(&key) {
                keeper.take_up(charge);
                continue;
            }
            let previous = care.predecessor(&key, Kind::Process);
            care.kept += 1;
            let number = care.kept;
            let keeper =
                Keeper::start((number, charge), self.shared.guard.clone(), previous, self.ended(number));
            care.keepers.insert(key, keeper);
        }
    }

    /// What a keeper calls when its process ended. It does not keep us alive: we keep it.
    fn ended(&self, number: u64) -> impl Fn(String, String) + Send + 'static {
        let shared: Weak<Shared> = Arc::downgrade(&self.shared);
        move |how, output| {
            if let Some(shared) = shared.upgrade() {
                Self { shared }.process_ended(number, (how, output));
            }
        }
    }

    fn process_ended(&self, number: u64, how: (String, String)) {
        let (pool, server, state) = {
            let care = self.lock();
            // One that is not kept any more was asked to end.
            let kept = care.keepers.iter().find(|(_, keeper)| keeper.number == number);
            let Some(((pool, server), _)) = kept else { return };
            let state = care.pools.get(pool).map(|(_, state)| Arc::clone(state));
            (Arc::clone(pool), Arc::clone(server), state)
        };
        // Nobody listens there any more; no request has to find that out.
        if let Some(state) = state
            && let Some(place) = state.place_of(&server)
        {
            state.observe(place, Observation::ProcessEnded(how.0.clone()));
        }
        self.with(&pool, |ward, now| ward.process_ended(&server, how, now));
    }
}

/// The process that is to run for a server, if one is.
fn charge(pool: &Pool, server: &Server) -> Option<Charge> {
    match &server.recovery.as_ref().or(pool.recovery.as_ref())?.action {
        RecoveryAction::Process { command, stop_timeout } => {
            let target = Target::of(&pool.name, server);
            let program = target.program(command);
            Some(Charge { target, program, stop_timeout: *stop_timeout })
        }
        RecoveryAction::Command(_) | RecoveryAction::Http(_) => None,
    }
}
