//! Certificates of listeners, renewed by replacing their files.
//!
//! The files are looked at several times a second, as the configuration is and for the same reasons (`reload`), and
//! read once they have held still. Certificate and key are two files: while they do not fit together, the pair in use
//! stays, and only what is still wrong after a while is told.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use loadweaver_proxy::tls::{Certificate, Front, Renewal};
use loadweaver_telemetry::event::{Event, EventBus};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::current::Current;
use crate::file::Stamp;

const LOOK: Duration = Duration::from_millis(200);

/// Looks in a row that must see the same before files are read.
const STILL: u32 = 2;

/// Looks for which files that make no sense are taken for ones that are being written.
const FILLING: u32 = 10;

/// How often the end of a certificate is told.
const DAY: Duration = Duration::from_hours(24);

/// Runs for ever.
pub(crate) async fn run(current: Current, bus: EventBus) -> Infallible {
    let mut eyes = Eyes::default();
    loop {
        let fronts = current.load().security.fronts.clone();
        eyes = look(eyes, fronts.into_iter().flatten().collect(), bus.clone()).await;
        sleep(LOOK).await;
    }
}

/// One look at everything. Files may be slow to answer, so it is not done on the thread of the control plane.
async fn look(mut eyes: Eyes, fronts: Vec<Arc<Front>>, bus: EventBus) -> Eyes {
    let looked = spawn_blocking(move || {
        eyes.follow(&fronts);
        for front in &fronts {
            eyes.look_at(front, &bus);
        }
        eyes
    });
    // A look that died has seen nothing; the next one begins anew.
    looked.await.unwrap_or_default()
}

#[derive(Debug, Default)]
struct Eyes {
    watched: Vec<Watched>,
    /// When the end of which certificate was told last.
    told: HashMap<(PathBuf, SystemTime), Instant>,
}

#[derive(Debug)]
struct Watched {
    front: Weak<Front>,
    files: Vec<PathBuf>,
    /// What the last look saw, and how many looks have seen it.
    seen: Vec<Option<Stamp>>,
    still: u32,
    /// What was read last. Nothing at first: the files may have changed since the configuration was put in force.
    taken: Option<Vec<Option<Stamp>>>,
}

impl Eyes {
    /// Forgets fronts that are gone and begins to watch new ones.
    fn follow(&mut self, fronts: &[Arc<Front>]) {
        let is =
            |watched: &Watched, front: &Arc<Front>| std::ptr::eq(watched.front.as_ptr(), Arc::as_ptr(front));
        self.watched.retain(|watched| fronts.iter().any(|front| is(watched, front)));
        for front in fronts {
            if !self.watched.iter().any(|watched| is(watched, front)) {
                let (front, files) = (Arc::downgrade(front), front.files());
                self.watched.push(Watched { front, files, seen: Vec::new(), still: 0, taken: None });
            }
        }
    }

    fn look_at(&mut self, front: &Arc<Front>, bus: &EventBus) {
        let watched =
            self.watched.iter_mut().find(|one| std::ptr::eq(one.front.as_ptr(), Arc::as_ptr(front)));
        if let Some(renewal) = watched.and_then(|watched| watched.renewal(front)) {
            tell(front, &renewal, bus);
        }
        self.tell_ends(front, bus);
    }

    /// Tells of certificates that end soon.
    fn tell_ends(&mut self, front: &Front, bus: &EventBus) {
        let now = SystemTime::now();
        for certificate in front.certificates() {
            let over = certificate.expired(now).map(|over| format!("it expired {over} ago"));
            let Some(reason) =
                over.or_else(|| Some(format!("it expires in {}", certificate.expires_soon(now)?)))
            else {
                continue;
            };
            let key = (certificate.files().cert.clone(), certificate.ends());
            if self.told.get(&key).is_none_or(|told| told.elapsed() >= DAY) {
                self.told.insert(key, Instant::now());
                let listener = Arc::clone(front.listener());
                bus.emit(Event::CertificateExpiring { listener, path: path(&certificate), reason });
            }
        }
        // Certificates come and go; what was told of those that are gone for days is forgotten.
        self.told.retain(|_, told| told.elapsed() < DAY * 3);
    }
}

impl Watched {
    /// What became of the files, when they are others than those that were read.
    fn renewal(&mut self, front: &Front) -> Option<Renewal> {
        let now: Vec<Option<Stamp>> = self.files.iter().map(|file| Stamp::of(file)).collect();
        self.still = if now == self.seen { self.still.saturating_add(1) } else { 1 };
        self.seen = now;
        if self.still < STILL || self.taken.as_ref() == Some(&self.seen) {
            return None;
        }
        let mut renewal = front.renew();
        if renewal.refused.is_empty() || self.still >= FILLING {
            self.taken = Some(self.seen.clone());
        } else {
            renewal.refused.clear();
        }
        Some(renewal)
    }
}

fn tell(front: &Front, renewal: &Renewal, bus: &EventBus) {
    for certificate in &renewal.loaded {
        let listener = Arc::clone(front.listener());
        let names = match certificate.names() {
            [] => "no name".to_owned(),
            names => names.join(", "),
        };
        bus.emit(Event::CertificateLoaded { listener, path: path(certificate), names });
    }
    for (path, reason) in &renewal.refused {
        let listener = Arc::clone(front.listener());
        let path = path.display().to_string();
        bus.emit(Event::CertificateRefused { listener, path, reason: reason.clone() });
    }
}

fn path(certificate: &Certificate) -> String {
    certificate.files().cert.display().to_string()
}
