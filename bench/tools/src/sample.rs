//! CPU time of processes and cores, read at the two ends of a measured window.
//!
//! `/proc/<pid>/task/*/schedstat` counts nanoseconds on the CPU per thread, without the tick's sampling error of
//! `/proc/<pid>/stat`. A running thread's figure is brought up to date at scheduler ticks (4 ms at 250 Hz), which
//! over a window of seconds is under 0.1 %. Soft interrupts run inside the system call that raised them, so the
//! loopback transfer that a proxy's write causes is charged to the proxy (kernels with
//! CONFIG_IRQ_TIME_ACCOUNTING take it out; `bench/run` says so when it sees one).

use std::fmt::Write as _;
use std::fs;
use std::io;

/// A named group of processes whose CPU time is added up.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What the report calls it.
    pub name: String,
    /// The processes; their threads are found at each reading.
    pub pids: Vec<u32>,
}

impl Watch {
    /// Reads `name=1,2,3`; `self` stands for this process.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, pids) = text.split_once('=').ok_or("--watch wants NAME=PID[,PID]")?;
        let pids = pids
            .split(',')
            .map(|pid| if pid == "self" { Ok(std::process::id()) } else { pid.parse() })
            .collect::<Result<_, _>>()
            .map_err(|error| format!("--watch {text}: {error}"))?;
        Ok(Self { name: name.to_owned(), pids })
    }
}

/// One group's counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Nanoseconds on a CPU, all threads.
    pub cpu: u64,
    /// Times that a thread went to sleep by itself.
    pub sleeps: u64,
    /// Times that a thread was pushed off its CPU.
    pub preempted: u64,
}

/// All counters at one moment.
#[derive(Debug, Clone)]
pub struct Sample {
    usages: Vec<Usage>,
    cores: Vec<Core>,
}

/// Ticks (1/100 s) of one core: in use by anything, and taken by the hypervisor.
#[derive(Debug, Clone, Copy, Default)]
struct Core {
    busy: u64,
    stolen: u64,
}

impl Sample {
    /// Reads everything now.
    pub fn take(watches: &[Watch]) -> io::Result<Self> {
        let usages = watches.iter().map(|watch| usage(&watch.pids)).collect::<io::Result<_>>()?;
        Ok(Self { usages, cores: cores()? })
    }

    /// The difference from `earlier` to now as the members of a JSON object.
    pub fn json_since(&self, earlier: &Self, watches: &[Watch]) -> String {
        let mut out = String::from("\"watch\":{");
        for (index, watch) in watches.iter().enumerate() {
            let (now, then) = (self.usages[index], earlier.usages[index]);
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                out,
                "{comma}\"{}\":{{\"cpu_ns\":{},\"sleeps\":{},\"preempted\":{}}}",
                watch.name,
                now.cpu.saturating_sub(then.cpu),
                now.sleeps.saturating_sub(then.sleeps),
                now.preempted.saturating_sub(then.preempted)
            );
        }
        out.push_str("},\"cores\":[");
        for (index, (now, then)) in self.cores.iter().zip(&earlier.cores).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                out,
                "{comma}{{\"busy_ms\":{},\"stolen_ms\":{}}}",
                (now.busy - then.busy) * 10,
                (now.stolen - then.stolen) * 10
            );
        }
        out.push(']');
        out
    }
}

fn usage(pids: &[u32]) -> io::Result<Usage> {
    let mut sum = Usage::default();
    for pid in pids {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = task?.path();
            // A thread may end between the listing and the reading.
            let Ok(schedstat) = fs::read_to_string(path.join("schedstat")) else { continue };
            sum.cpu += first_number(&schedstat);
            let Ok(status) = fs::read_to_string(path.join("status")) else { continue };
            for line in status.lines() {
                if let Some(count) = line.strip_prefix("voluntary_ctxt_switches:") {
                    sum.sleeps += first_number(count);
                } else if let Some(count) = line.strip_prefix("nonvoluntary_ctxt_switches:") {
                    sum.preempted += first_number(count);
                }
            }
        }
    }
    Ok(sum)
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn cores() -> io::Result<Vec<Core>> {
    let stat = fs::read_to_string("/proc/stat")?;
    let lines = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    Ok(lines
        .map(|line| {
            let ticks: Vec<u64> =
                line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
            let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
            // user nice system idle iowait irq softirq steal
            Core { busy: at(0) + at(1) + at(2) + at(5) + at(6), stolen: at(7) }
        })
        .collect())
}
