//! What follows the configuration beside the proxy: webhooks, recoveries, the file of events, the collector of spans.
//!
//! What can fail of following is done first and changes nothing ([`Followers::prepare`]); the rest cannot fail.

use std::sync::Arc;

use loadweaver_config::Config;
use loadweaver_proxy::Snapshot;
use loadweaver_telemetry::event::{EventBus, EventFile};

use crate::admin::tls::{Identity, Loaded};
use crate::recovery::Recoveries;
use crate::spans::{self, Spans};
use crate::webhooks::{self, Webhooks};

/// Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(crate) struct Followers {
    pub(crate) webhooks: Webhooks,
    pub(crate) spans: Spans,
    pub(crate) recoveries: Recoveries,
    pub(crate) admin: Identity,
    pub(crate) bus: EventBus,
}

/// Which files are read for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    /// All: they may say something else under the same names.
    All,
    /// Those that it names and the configuration before did not. What became of the others is no reason to refuse it.
    WhereOthersAreNamed,
}

impl std::fmt::Debug for Followers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Followers").finish_non_exhaustive()
    }
}

/// A configuration that can be followed.
pub(crate) struct Prepared {
    webhooks: webhooks::Prepared,
    spans: spans::Prepared,
    admin: Option<Arc<Loaded>>,
    events: NextFile,
}

enum NextFile {
    Same,
    Other(Option<EventFile>),
}

impl Followers {
    /// Reads certificates, opens files. Blocks for a few milliseconds. The errors are sentences for an operator.
    pub(crate) fn prepare(&self, config: &Config, files: Files) -> Result<Prepared, Vec<String>> {
        let tls = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        let admin = self.admin.prepare(tls, files);
        let webhooks = self.webhooks.prepare(&config.webhooks);
        let webhooks = webhooks.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>());
        let spans = self.spans.prepare(config.tracing.as_ref());
        let (webhooks, spans, admin) = match (webhooks, spans, admin) {
            (Ok(webhooks), Ok(spans), Ok(admin)) => (webhooks, spans, admin),
            (webhooks, spans, admin) => {
                let reasons = webhooks.err().into_iter().flatten();
                return Err(reasons.chain(spans.err()).chain(admin.err()).collect());
            }
        };
        let open = self.bus.file();
        let events = match &config.events {
            wanted if wanted.as_ref() == open.as_ref().map(EventFile::settings) => NextFile::Same,
            None => NextFile::Other(None),
            Some(settings) => {
                NextFile::Other(Some(EventFile::open(settings).map_err(|error| vec![error.to_string()])?))
            }
        };
        Ok(Prepared { webhooks, spans, admin, events })
    }

    /// Whether [`Followers::prepare`] would succeed, as far as that can be told without making a file.
    pub(crate) fn try_out(&self, config: &Config, files: Files) -> Result<Prepared, Vec<String>> {
        let open = self.bus.file().map(|file| file.settings().clone());
        self.prepare(&Config { events: open, ..config.clone() }, files)
    }

    /// Takes up what files say that are named as before.
    pub(crate) fn renew(&self, prepared: &Prepared) {
        self.admin.renew(prepared.admin.as_ref());
    }

    /// Has the admin listener begin as the first configuration says.
    pub(crate) fn begin(&self, prepared: &Prepared) {
        self.admin.begin(prepared.admin.clone());
    }

    /// Follows. To be called on the control plane's runtime.
    pub(crate) fn apply(&self, prepared: Prepared, snapshot: &Snapshot) {
        self.renew(&prepared);
        self.webhooks.apply(&prepared.webhooks);
        self.spans.apply(prepared.spans);
        self.recoveries.apply(snapshot);
        if let NextFile::Other(file) = prepared.events {
            self.bus.write_to(file);
        }
    }

    /// The end of the process: children are stopped, what waits to be told is told where that goes quickly.
    pub(crate) async fn end(&self) {
        self.recoveries.stop().await;
        // Neither waits for the other: whoever ends a process counts the seconds.
        tokio::join!(self.webhooks.close(), self.spans.close());
        if let Some(file) = self.bus.file() {
            file.close();
        }
    }
}
