//! The text that scrapers read, in either of its two forms.
//!
//! Prometheus' text format 0.0.4 and OpenMetrics 1.0 differ in the names of counters in the comments, in the escapes of
//! help texts, and in the last line. A family is written with its samples behind it, as both ask for.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use loadweaver_telemetry::series::{BOUNDS, Counted};

/// Which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Labels of one sample, written once and used for as many families as have them.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels(String);

impl Labels {
    pub(super) fn of(name: &str, value: &str) -> Self {
        Self::default().and(name, value)
    }

    /// One more.
    pub(super) fn and(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        let _ = write!(self.0, "{name}=\"{}\"", Escaped(value));
        self
    }
}

/// The page, family by family.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    format: Format,
}

impl Page {
    pub(super) fn new(format: Format) -> Self {
        Self { text: String::new(), format }
    }

    /// A number that only grows; its samples are called `NAME_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// A sum and the number of its addends.
    pub(super) fn summary(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "summary", help)
    }

    /// Durations by how long they were.
    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &'static str, help: &'static str) -> Family<'_> {
        Family { page: self, name, kind, help, begun: false }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// A family and its samples. One without a sample is not on the page.
#[derive(Debug)]
pub(super) struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    begun: bool,
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: &Labels, value: impl Display) {
        let suffix = if self.kind == "counter" { "_total" } else { "" };
        self.line(suffix, labels, value);
    }

    pub(super) fn samples<'l, V: Display>(&mut self, all: impl IntoIterator<Item = (&'l Labels, V)>) {
        for (labels, value) in all {
            self.sample(labels, value);
        }
    }

    /// The one sample of a family without labels.
    pub(super) fn only(mut self, value: impl Display) {
        self.sample(&Labels::default(), value);
    }

    pub(super) fn sum_and_count(&mut self, labels: &Labels, sum: impl Display, count: u64) {
        self.line("_sum", labels, sum);
        self.line("_count", labels, count);
    }

    /// Buckets as they are counted: each alone.
    pub(super) fn buckets(&mut self, labels: &Labels, counted: &Counted) {
        let mut so_far = 0;
        let bounds = BOUNDS.iter().map(|bound| format!("{:?}", Duration::from_micros(*bound).as_secs_f64()));
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counted.buckets) {
            so_far += count;
            self.line("_bucket", &labels.clone().and("le", &bound), so_far);
        }
        self.sum_and_count(labels, counted.sum.as_secs_f64(), so_far);
    }

    fn line(&mut self, suffix: &str, labels: &Labels, value: impl Display) {
        self.begin();
        let text = &mut self.page.text;
        text.push_str(self.name);
        text.push_str(suffix);
        if !labels.0.is_empty() {
            text.push('{');
            text.push_str(&labels.0);
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }

    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let Self { page, name, kind, help, .. } = self;
        // OpenMetrics names the family, Prometheus the samples.
        let suffix = if *kind == "counter" && page.format == Format::Prometheus { "_total" } else { "" };
        let _ = writeln!(page.text, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
    }
}

/// A label's value: anything that a name in the configuration may hold.
struct Escaped<'v>(&'v str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let mut page = Page::new(format);
        page.counter("requests", "Requests.").sample(&Labels::of("pool", "a\"b\\c\nd"), 3);
        page.gauge("none", "Not there.");
        page.gauge("load", "Load.").only(0.5);
        page.summary("time_seconds", "Time.").sum_and_count(&Labels::of("a", "b").and("c", "d"), 1.25, 2);
        page.finish()
    }

    #[test]
    fn prometheus_names_the_samples_of_a_counter() {
        let expected = "# HELP requests_total Requests.\n# TYPE requests_total counter\n\
            requests_total{pool=\"a\\\"b\\\\c\\nd\"} 3\n# HELP load Load.\n# TYPE load gauge\nload 0.5\n\
            # HELP time_seconds Time.\n# TYPE time_seconds summary\n\
            time_seconds_sum{a=\"b\",c=\"d\"} 1.25\ntime_seconds_count{a=\"b\",c=\"d\"} 2\n";
        assert_eq!(page(Format::Prometheus), expected);
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up() {
        let mut counted = Counted { sum: Duration::from_millis(1500), ..Counted::default() };
        for (at, count) in [(0, 2), (10, 3), (BOUNDS.len(), 1)] {
            *counted.buckets.get_mut(at).expect("there are as many") = count;
        }
        let mut page = Page::new(Format::Prometheus);
        page.histogram("time_seconds", "Time.").buckets(&Labels::of("a", "b"), &counted);
        let text = page.finish();
        assert!(text.starts_with("# HELP time_seconds Time.\n# TYPE time_seconds histogram\n"), "{text}");
        for line in [
            "time_seconds_bucket{a=\"b\",le=\"0.0005\"} 2",
            "time_seconds_bucket{a=\"b\",le=\"0.5\"} 2",
            "time_seconds_bucket{a=\"b\",le=\"1.0\"} 5",
            "time_seconds_bucket{a=\"b\",le=\"60.0\"} 5",
            "time_seconds_bucket{a=\"b\",le=\"+Inf\"} 6",
            "time_seconds_sum{a=\"b\"} 1.5",
            "time_seconds_count{a=\"b\"} 6",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn openmetrics_names_the_family_and_says_where_the_end_is() {
        let text = page(Format::OpenMetrics);
        assert!(text.starts_with("# HELP requests Requests.\n# TYPE requests counter\nrequests_total{"));
        assert!(text.ends_with("\n# EOF\n"));
    }
}
