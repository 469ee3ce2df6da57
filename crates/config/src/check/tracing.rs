//! Where spans go, and which.

use crate::issue::{Fault, Report, shown};
use crate::model::tracing::{Sampling, Tracing, TracingProtocol};
use crate::spot::{Section, Spot};
use crate::{bounds, shape, url};

use super::headers::{self, Purpose};
use super::program;

#[allow(clippy::option_option)] // the outer one says whether the section could be read
pub(super) fn tracing(spot: &Spot<'_>, report: &mut Report) -> Option<Option<Tracing>> {
    let section = Section::open(spot, &shape::TRACING, report)?;
    let mut tracing = Tracing {
        endpoint: String::new(),
        protocol: TracingProtocol::default(),
        headers: Vec::new(),
        ca_file: None,
        sampling: Sampling::default(),
        service_name: Tracing::DEFAULT_SERVICE_NAME.to_owned(),
        timeout: Tracing::DEFAULT_TIMEOUT,
        interval: Tracing::DEFAULT_INTERVAL,
        batch: Tracing::DEFAULT_BATCH,
        queue: Tracing::DEFAULT_QUEUE,
    };
    section.set("protocol", report, &mut tracing.protocol, |spot, report| {
        spot.word(report, TracingProtocol::ALL, TracingProtocol::name)
    });
    section.set("headers", report, &mut tracing.headers, |spot, report| {
        headers::read(spot, Purpose::Send, report)
    });
    section.set("caFile", report, &mut tracing.ca_file, |spot, report| program::file(spot, report).map(Some));
    section.set("sampling", report, &mut tracing.sampling, sampling);
    section.set("serviceName", report, &mut tracing.service_name, service_name);
    section
        .set("timeout", report, &mut tracing.timeout, |spot, report| spot.duration(report, &bounds::ACTION));
    section.set("interval", report, &mut tracing.interval, |spot, report| {
        spot.duration(report, &bounds::INTERVAL)
    });
    section.set("batch", report, &mut tracing.batch, |spot, report| spot.number(report, &bounds::SPAN_BATCH));
    section.set("queue", report, &mut tracing.queue, |spot, report| spot.number(report, &bounds::SPAN_QUEUE));
    if tracing.queue < tracing.batch {
        let problem =
            format!("only {} spans may wait, which a batch of {} never gets", tracing.queue, tracing.batch);
        report.warn(section.at(), Fault::new(problem, "write a \"queue\" of some batches"));
    }
    let spot = section.need("endpoint", report, NEED_ENDPOINT)?;
    tracing.endpoint = endpoint(&spot, tracing.protocol, report)?;
    Some(Some(tracing))
}

const NEED_ENDPOINT: &str = "say where to: \"endpoint\": \"http://127.0.0.1:4318\"";

/// A collector's address. It may carry a secret, so a message shows none of it.
fn endpoint(spot: &Spot<'_>, protocol: TracingProtocol, report: &mut Report) -> Option<String> {
    let text = spot.hidden_text(report, "a URL such as \"http://127.0.0.1:4318\"")?;
    let text = spot.settle(report, url::url(text))?;
    let rest = text.get(url::without_path(text).len()..).unwrap_or_default();
    if protocol == TracingProtocol::Grpc && !matches!(rest, "" | "/") {
        let fault =
            Fault::new("the path of a gRPC call is its method", "leave it out: scheme, host and port");
        spot.refuse(report, fault);
        return None;
    }
    if url::is_open_to_others(text) {
        let problem = "what goes to an http:// URL can be read on its way";
        report.warn(&spot.at, Fault::new(problem, "write https://"));
    }
    Some(text.to_owned())
}

fn sampling(spot: &Spot<'_>, report: &mut Report) -> Option<Sampling> {
    let section = Section::open(spot, &shape::SAMPLING, report)?;
    let mut sampling = Sampling::default();
    section.set("ratio", report, &mut sampling.ratio, Spot::fraction);
    section.set("parent", report, &mut sampling.parent, Spot::flag);
    section.set("failures", report, &mut sampling.failures, Spot::flag);
    Some(sampling)
}

fn service_name(spot: &Spot<'_>, report: &mut Report) -> Option<String> {
    let text = spot.text(report, "a name")?;
    if text.is_empty() || text.len() > bounds::SERVICE_NAME || text.contains(char::is_control) {
        let problem = format!("{} is not a name for a service", shown(text));
        let help = format!("write 1 to {} bytes without control characters", bounds::SERVICE_NAME);
        spot.refuse(report, Fault::new(problem, help));
        return None;
    }
    Some(text.to_owned())
}
