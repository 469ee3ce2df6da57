//! The bench load generator. See `load --help`; the loop is `loadweaver_bench_tools::engine`.

use std::io;
use std::process::ExitCode;

use loadweaver_bench_tools::engine::Engine;
use loadweaver_bench_tools::options::{HELP, Options};
use loadweaver_bench_tools::sample::Sample;
use loadweaver_bench_tools::tally::Tally;

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let result = Options::from_args()
        .map_err(io::Error::other)
        .and_then(|options| if options.hold { hold(options) } else { measure(options) });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Warm-up, then the window between two samples.
fn measure(options: Options) -> io::Result<()> {
    let (window, warmup, requests) = (options.window, options.warmup, options.requests);
    let (watches, slow_from) = (options.watches.clone(), options.slow);
    let clock = monotonic();
    let mut engine = Engine::new(options)?;
    engine.open_all()?;
    if requests == 0 {
        engine.run_until(engine.now() + warmup.as_nanos() as u64, 0)?;
        engine.tally = Tally::with_slow_from(slow_from);
    }
    let before = Sample::take(&watches)?;
    let start = engine.now();
    let until = if requests == 0 { start + window.as_nanos() as u64 } else { u64::MAX };
    engine.run_until(until, 0)?;
    let seconds = (engine.now() - start) as f64 / 1e9;
    let after = Sample::take(&watches)?;
    let (slow, began) = (engine.tally.slow(clock), clock + start as f64 / 1e9);
    println!(
        "{{{},{},\"began\":{began:.6},{slow}}}",
        engine.tally.json(seconds),
        after.json_since(&before, &watches)
    );
    Ok(())
}

/// Opens idle connections and keeps them until a line comes on standard input.
fn hold(options: Options) -> io::Result<()> {
    let patience = 120_000_000_000;
    let mut engine = Engine::new(options)?;
    for _ in 0..2 {
        let start = engine.now();
        engine.ask_each_once(start + patience)?;
        let tally = std::mem::take(&mut engine.tally);
        println!("{{{}}}", tally.json((engine.now() - start) as f64 / 1e9));
        io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

/// Seconds of the clock that the engine's times count on from here.
fn monotonic() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
