//! Certificates, renewed by replacing their files.
//!
//! The files are looked at several times a second, as the configuration is and for the same reasons (`reload`), and
//! read once they have held still. Certificate and key are two files: while they do not fit together, the pair in use
//! stays, and only what is still wrong after a while is told.
//!
//! A listener takes up what is new by itself, from the next handshake on. What a pool speaks to its servers with is a
//! part of the snapshot, because connections are kept by it: there the coordinator is asked to read the files again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loadweaver_proxy::tls::{Back, Certificate, Front, Renewal};
use loadweaver_telemetry::event::{Event, EventBus, Holder};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::current::Current;
use crate::file::Stamp;

const LOOK: Duration = Duration::from_millis(200);

/// Looks in a row that must see the same before files are read.
const STILL: u32 = 2;

/// Looks for which files that make no sense are taken for ones that are being written.
const FILLING: u32 = 10;

/// Looks until a pool's new files are told of again where they were not taken up, since a change waits for its
/// confirmation or another file is wrong.
const AGAIN: u32 = 25;

/// How often the end of a certificate is told.
const DAY: Duration = Duration::from_hours(24);

/// Runs for ever. `renewed` is told when files of pools are to be taken up.
pub(crate) async fn run(current: Current, bus: EventBus, renewed: Arc<Notify>) -> Infallible {
    let mut eyes = Eyes::default();
    loop {
        let security = current.load().security.clone();
        let fronts = security.fronts.iter().flatten().cloned().map(Kept::Front);
        let backs = security.named_backs().map(|(pool, back)| Kept::Back(Arc::clone(pool), Arc::clone(back)));
        eyes = look(eyes, fronts.chain(backs).collect(), bus.clone()).await;
        if std::mem::take(&mut eyes.renewed) {
            renewed.notify_one();
        }
        sleep(LOOK).await;
    }
}

/// One look at everything. Files may be slow to answer, so it is not done on the thread of the control plane.
async fn look(mut eyes: Eyes, all: Vec<Kept>, bus: EventBus) -> Eyes {
    let looked = spawn_blocking(move || {
        eyes.follow(&all, &bus);
        for kept in &all {
            eyes.look_at(kept, &bus);
        }
        eyes
    });
    // A look that died has seen nothing; the next one begins anew.
    looked.await.unwrap_or_default()
}

/// What is made of files.
#[derive(Debug, Clone)]
enum Kept {
    Front(Arc<Front>),
    /// And the pool's name.
    Back(Arc<str>, Arc<Back>),
}

impl Kept {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Front(one), Self::Front(other)) => Arc::ptr_eq(one, other),
            (Self::Back(_, one), Self::Back(_, other)) => Arc::ptr_eq(one, other),
            (Self::Front(_), Self::Back(..)) | (Self::Back(..), Self::Front(_)) => false,
        }
    }

    fn holder(&self) -> Holder {
        match self {
            Self::Front(front) => Holder::Listener(Arc::clone(front.listener())),
            Self::Back(pool, _) => Holder::Pool(Arc::clone(pool)),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Front(front) => front.files(),
            Self::Back(_, back) => back.files(),
        }
    }

    fn certificates(&self) -> Vec<Arc<Certificate>> {
        match self {
            Self::Front(front) => front.certificates(),
            Self::Back(_, back) => back.certificate().cloned().into_iter().collect(),
        }
    }
}

#[derive(Debug, Default)]
struct Eyes {
    watched: Vec<Watched>,
    /// When the end of which certificate was told last.
    told: HashMap<(PathBuf, SystemTime), Instant>,
    /// Files of a pool are others than those in use, and good.
    renewed: bool,
}

#[derive(Debug)]
struct Watched {
    kept: Kept,
    files: Vec<PathBuf>,
    /// What the last look saw, and how many looks have seen it.
    seen: Vec<Option<Stamp>>,
    still: u32,
    /// What was read last. Nothing at first: the files may have changed since the configuration was put in force.
    taken: Option<Vec<Option<Stamp>>>,
    /// Looks for which it is left alone.
    rests: u32,
}

impl Eyes {
    /// Forgets what is gone and begins to watch what is new.
    fn follow(&mut self, all: &[Kept], bus: &EventBus) {
        let (stays, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.watched)
            .into_iter()
            .partition(|watched| all.iter().any(|kept| kept.is(&watched.kept)));
        self.watched = stays;
        for kept in all {
            if self.watched.iter().any(|watched| watched.kept.is(kept)) {
                continue;
            }
            if let Kept::Back(pool, back) = kept {
                for old in &gone {
                    tell_new(pool, back, &old.kept, bus);
                }
            }
            let (kept, files) = (kept.clone(), kept.files());
            self.watched.push(Watched { kept, files, seen: Vec::new(), still: 0, taken: None, rests: 0 });
        }
    }

    fn look_at(&mut self, kept: &Kept, bus: &EventBus) {
        let watched = self.watched.iter_mut().find(|watched| watched.kept.is(kept));
        if let Some(renewal) = watched.and_then(Watched::renewal) {
            self.renewed |= renewal.changed && matches!(kept, Kept::Back(..));
            tell(kept, &renewal, bus);
        }
        self.tell_ends(kept, bus);
    }

    /// Tells of certificates that end soon.
    fn tell_ends(&mut self, kept: &Kept, bus: &EventBus) {
        let now = SystemTime::now();
        for certificate in kept.certificates() {
            let over = certificate.expired(now).map(|over| format!("it expired {over} ago"));
            let Some(reason) =
                over.or_else(|| Some(format!("it expires in {}", certificate.expires_soon(now)?)))
            else {
                continue;
            };
            let key = (certificate.files().cert.clone(), certificate.ends());
            if self.told.get(&key).is_none_or(|told| told.elapsed() >= DAY) {
                self.told.insert(key, Instant::now());
                let holder = kept.holder();
                bus.emit(Event::CertificateExpiring { holder, path: path(&certificate), reason });
            }
        }
        // Certificates come and go; what was told of those that are gone for days is forgotten.
        self.told.retain(|_, told| told.elapsed() < DAY * 3);
    }
}

impl Watched {
    /// What became of the files, when they are others than those that were read.
    fn renewal(&mut self) -> Option<Renewal> {
        let now: Vec<Option<Stamp>> = self.files.iter().map(|file| Stamp::of(file)).collect();
        self.still = if now == self.seen { self.still.saturating_add(1) } else { 1 };
        self.seen = now;
        self.rests = if self.still == 1 { 0 } else { self.rests.saturating_sub(1) };
        if self.still < STILL || self.rests > 0 || self.taken.as_ref() == Some(&self.seen) {
            return None;
        }
        let mut renewal = match &self.kept {
            Kept::Front(front) => front.renew(),
            Kept::Back(_, back) => back.look_again(),
        };
        if renewal.changed && matches!(self.kept, Kept::Back(..)) {
            // When it is taken up, another back is watched.
            self.rests = AGAIN;
        } else if renewal.refused.is_empty() || self.still >= FILLING {
            self.taken = Some(self.seen.clone());
        } else {
            renewal.refused.clear();
        }
        Some(renewal)
    }
}

/// A pool shows its servers another certificate than before.
fn tell_new(pool: &Arc<str>, back: &Back, old: &Kept, bus: &EventBus) {
    let Kept::Back(before, old) = old else { return };
    if let (Some(old), Some(new)) = (old.certificate(), back.certificate())
        && before == pool
        && !new.is_same(old)
    {
        let (holder, names) = (Holder::Pool(Arc::clone(pool)), names(new));
        bus.emit(Event::CertificateLoaded { holder, path: path(new), names });
    }
}

fn tell(kept: &Kept, renewal: &Renewal, bus: &EventBus) {
    // What a pool shows is told once it does.
    for certificate in renewal.loaded.iter().filter(|_| matches!(kept, Kept::Front(_))) {
        let (holder, names) = (kept.holder(), names(certificate));
        bus.emit(Event::CertificateLoaded { holder, path: path(certificate), names });
    }
    for (path, reason) in &renewal.refused {
        let (holder, path) = (kept.holder(), path.display().to_string());
        bus.emit(Event::CertificateRefused { holder, path, reason: reason.clone() });
    }
}

fn names(certificate: &Certificate) -> String {
    match certificate.names() {
        [] => "no name".to_owned(),
        names => names.join(", "),
    }
}

fn path(certificate: &Certificate) -> String {
    certificate.files().cert.display().to_string()
}
