//! `top`: the overview of the dashboard in a terminal.
//!
//! One thread, two tasks: a watcher asks the admin API once a second, and the screen shows what it found out, again
//! whenever there is news, a key, or a second is over. Where there is no terminal, it is printed once.

use std::io::{self, IsTerminal, stdout};
use std::process::ExitCode;
use std::rc::Rc;
use std::thread;

use crossterm::event::{Event, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::sync::watch::{self, Receiver};
use tokio::time::interval;

use crate::arguments::Overview;
use crate::terminal::{complain, printable, say};
use crate::{FAILED, REFUSED};

use ask::{Asker, Unanswered};
use known::{EVERY, Known, Watcher};
use screen::Screen;
use target::{Target, Unusable};
use view::{View, Wish};

/// One question, and how it can stay without an answer.
mod ask;
/// The screen as a whole.
mod draw;
/// Numbers and times in words.
mod format;
/// Colours, signs, and text that fits.
mod ink;
/// What is known of the node.
mod known;
/// The overview as lines.
mod page;
/// The node's history.
mod past;
/// One overview without a terminal.
mod plain;
/// The terminal.
mod screen;
/// What the API answers.
mod shapes;
/// Traffic of each server.
mod shares;
/// The servers.
mod table;
/// Whom to ask.
mod target;
/// Keys.
mod view;
/// What is wrong.
mod words;

/// Keys that wait for the picture before them; more stay in the terminal.
const TYPED_AHEAD: usize = 16;

/// The command `top`.
pub(crate) fn command(arguments: &Overview) -> ExitCode {
    let target = match Target::find(arguments) {
        Ok(target) => target,
        Err(Unusable::Config(refusal)) => return refusal.tell(),
        Err(Unusable::Wrong { problem, help }) => return refuse(&problem, help),
    };
    let asker = match Asker::new(target) {
        Ok(asker) => asker,
        Err(why) => return refuse(&why, "see --help for what --url and --ca-file take"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Broken::Terminal).and_then(|runtime| {
        let outcome = runtime.block_on(show(arguments, asker.clone()));
        // An answer that is being read must not keep whoever has pressed `q`.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Broken::Unanswered(Unanswered { why, help })) => {
            complain(format_args!("{}: {why}\n    {help}", asker.place()));
        }
        Err(Broken::Terminal(error)) => {
            complain(format_args!(
                "the terminal cannot be used: {error}\n    --once prints one overview as text"
            ));
        }
    }
    ExitCode::from(FAILED)
}

fn refuse(problem: &str, help: &str) -> ExitCode {
    complain(format_args!("{}\n    {help}", printable(problem)));
    ExitCode::from(REFUSED)
}

/// Why it came to an end that nobody asked for.
enum Broken {
    Unanswered(Unanswered),
    Terminal(io::Error),
}

async fn show(arguments: &Overview, asker: Asker) -> Result<(), Broken> {
    let (sender, known) = watch::channel(Known::default());
    let mut watcher = Watcher::new(asker, sender);
    watcher.look().await.map_err(Broken::Unanswered)?;
    let is_dumb = std::env::var_os("TERM").is_some_and(|kind| kind == "dumb");
    if arguments.once || arguments.json || is_dumb || !stdout().is_terminal() {
        // A rate takes two looks.
        tokio::time::sleep(EVERY).await;
        watcher.look().await.map_err(Broken::Unanswered)?;
        let known = known.borrow();
        if arguments.json {
            say(format_args!("{:#}", plain::json(&known)));
        } else {
            say(plain::text(&known));
        }
        return Ok(());
    }
    live(watcher, known).await.map_err(Broken::Terminal)
}

/// Shows it until somebody has seen enough, or the terminal is gone.
async fn live(watcher: Watcher, mut known: Receiver<Known>) -> io::Result<()> {
    let mut ends =
        [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup()]
            .into_iter()
            .map(signal)
            .collect::<io::Result<Vec<_>>>()?;
    let mut ended =
        std::pin::pin!(futures_util::future::select_all(ends.iter_mut().map(|end| Box::pin(end.recv()))));
    let mut screen = Screen::open()?;
    let watching = tokio::spawn(watcher.run());
    let (mut view, mut events, mut seconds) = (View::default(), keys(), interval(EVERY));
    let outcome = loop {
        let drawn = match view.paused.clone() {
            Some(before) => screen.draw(&before, &mut view),
            None => screen.draw(&known.borrow_and_update(), &mut view),
        };
        if let Err(error) = drawn {
            break Err(error);
        }
        tokio::select! {
            _ = &mut ended => break Ok(()),
            event = events.recv() => match event {
                Some(event) => match heed(&event, &mut view) {
                    Wish::Nothing => {}
                    Wish::Pause => view.paused = match view.paused {
                        Some(_) => None,
                        None => Some(Rc::new(known.borrow().paused())),
                    },
                    Wish::Suspend => if let Err(error) = screen.suspend() { break Err(error) },
                    Wish::Quit => break Ok(()),
                },
                // The terminal is gone.
                None => break Ok(()),
            },
            changed = known.changed() => if changed.is_err() {
                break Err(io::Error::other("nobody asks any more"));
            },
            _ = seconds.tick() => {}
        }
    };
    watching.abort();
    outcome
}

/// What happens at the terminal, from a thread of its own, which ends with the process: to wait for keys can block
/// although there are some, where they were typed before the terminal was ours.
///
/// crossterm's `EventStream` is not used for that, nor its usual source: it waits for edges and forgets a key that
/// comes together with another size. What its feature `use-dev-tty` uses asks anew what is there.
fn keys() -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(TYPED_AHEAD);
    thread::spawn(move || {
        while let Ok(event) = crossterm::event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}

fn heed(event: &Event, view: &mut View) -> Wish {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => view.press(*key),
        // Another size is drawn with the next picture, which is now.
        _ => Wish::Nothing,
    }
}
