//! The configuration in force, as the control plane sees it.

use std::sync::Arc;

use loadweaver_proxy::Snapshot;
use tokio::sync::watch;

/// Cheap to clone; all clones see the same.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    sender: Arc<watch::Sender<Arc<Snapshot>>>,
    seen: watch::Receiver<Arc<Snapshot>>,
}

impl Current {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        let (sender, seen) = watch::channel(snapshot);
        Self { sender: Arc::new(sender), seen }
    }

    /// What is in force now.
    pub(crate) fn load(&self) -> Arc<Snapshot> {
        Arc::clone(&self.sender.borrow())
    }

    /// Only for whoever has put it in force.
    pub(crate) fn set(&self, snapshot: Arc<Snapshot>) {
        self.sender.send_replace(snapshot);
    }

    /// Whether there is another one than this clone has seen.
    pub(crate) fn has_changed(&self) -> bool {
        // The sender lives in here.
        self.seen.has_changed().unwrap_or(false)
    }

    /// Waits for another one than this clone has seen.
    pub(crate) async fn changed(&mut self) -> Arc<Snapshot> {
        // The sender lives in here.
        let _ = self.seen.changed().await;
        self.seen.borrow_and_update().clone()
    }
}
