//! A balancer in front of one origin, for requests that must be refused before they reach it.

use serde_json::Value;

use crate::balancer::Balancer;
use crate::config::one_pool;
use crate::origin::Origin;
use crate::wire::requests_in;

/// A balancer in front of one origin that answers everything.
#[derive(Debug)]
pub struct Front {
    /// The origin.
    pub origin: Origin,
    /// The balancer.
    pub balancer: Balancer,
}

impl Front {
    /// Starts both, with the patch merged into the config.
    #[track_caller]
    pub fn start(binary: &str, patch: &Value) -> Self {
        let origin = Origin::named("origin");
        let balancer = Balancer::start(binary, &one_pool(&[origin.address()], patch));
        Self { origin, balancer }
    }

    /// Sends the bytes; wants that status and failure code, the connection closed, and the origin untouched.
    #[track_caller]
    pub fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16, code: &str) {
        if let Err(problem) = self.try_refuses(bytes.as_ref(), status, code) {
            panic!("{:?}: {problem}", String::from_utf8_lossy(bytes.as_ref()));
        }
    }

    /// The same, saying what went otherwise.
    pub fn try_refuses(&self, bytes: &[u8], status: u16, code: &str) -> Result<(), String> {
        self.origin.forget();
        let mut client = self.balancer.client();
        let _ = client.send(bytes);
        let answer = client.read_answer("GET").map_err(|error| format!("no answer: {error:?}"))?;
        let got = (answer.status, answer.failure().unwrap_or("-").to_owned());
        // Other processes' bytes could still be on their way: a request that follows must be all that arrives.
        let after = self.balancer.get("/after");
        let reached = self.origin.raw().concat();
        let (requests, _) = requests_in(&reached);
        let only_after = requests.len() == 1 && requests[0].target == "/after" && after.status == 200;
        if !only_after {
            return Err(format!("{got:?}, and the origin got {:?}", String::from_utf8_lossy(&reached)));
        }
        if got != (status, code.to_owned()) {
            return Err(format!("want {status} {code}, got {got:?}"));
        }
        if answer.fields.get("x-request-id").is_none_or(str::is_empty) {
            return Err("the answer has no request id".into());
        }
        client.is_closed_by_peer()
    }

    /// All problems of a list of cases at once.
    #[track_caller]
    pub fn refuses_all<Bytes: AsRef<[u8]>>(
        &self,
        cases: impl IntoIterator<Item = Bytes>,
        status: u16,
        code: &str,
    ) {
        let problems: Vec<String> = cases
            .into_iter()
            .filter_map(|bytes| {
                let problem = self.try_refuses(bytes.as_ref(), status, code).err()?;
                Some(format!("{:?}: {problem}", String::from_utf8_lossy(bytes.as_ref())))
            })
            .collect();
        assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    }
}
