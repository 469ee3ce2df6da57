//! What the process takes of its machine, under the names that all exporters use.

use std::time::SystemTime;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};

use super::page::Page;

/// Writes what can be known; what the system does not say is left out.
pub(super) fn write(page: &mut Page, started: SystemTime) {
    if let Ok(started) = started.duration_since(SystemTime::UNIX_EPOCH) {
        let help = "When the process started, in seconds since 1970.";
        page.gauge("process_start_time_seconds", help).only(started.as_secs_f64());
    }
    if let Some(seconds) = cpu_seconds() {
        page.counter("process_cpu_seconds", "Time on a CPU, of all threads.").only(seconds);
    }
    if let Some((virtual_memory, resident)) = memory() {
        page.gauge("process_virtual_memory_bytes", "Addresses in use.").only(virtual_memory);
        page.gauge("process_resident_memory_bytes", "Memory in use.").only(resident);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        page.gauge("process_open_fds", "Descriptors in use.").only(open.count().saturating_sub(1));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.gauge("process_max_fds", "Descriptors that may be in use.").only(most);
    }
    if let Ok(threads) = std::fs::read_dir("/proc/self/task") {
        page.gauge("process_threads", "Threads.").only(threads.count());
    }
}

/// proc(5): user and system time are the 14th and 15th field of `stat`, and the second may hold anything, spaces and
/// brackets too.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three million years")]
    let seconds = ticks as f64 / clock_ticks_per_second() as f64;
    Some(seconds)
}

/// Bytes: virtual and resident.
fn memory() -> Option<(u64, u64)> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let page = rustix::param::page_size() as u64;
    let mut pages = statm.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
    Some((pages.next()?? * page, pages.next()?? * page))
}
