//! A program in a terminal of its own, whose screen can be read and whose keys can be pressed.
//!
//! The terminal is the kernel's; what the program writes is read by vt100, which shares nothing with what drew it.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Color, Parser, Screen};

use crate::eventually::{PATIENCE, holds_within};
use crate::process::exit_of;

/// A running program and its terminal; killed on drop.
pub struct Terminal {
    child: Child,
    keyboard: File,
    /// Keeps the terminal's modes readable when the program is gone.
    near_end: OwnedFd,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    parser: Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// What starts the program in a session of its own, where the terminal that it is given is the one that rules it:
    /// arguments and environment may be added.
    pub fn command(program: &str) -> Command {
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command
    }

    /// Starts it in a terminal of so many columns and rows.
    #[track_caller]
    pub fn start(command: &mut Command, (columns, rows): (u16, u16)) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let far_end = openpt(flags | OpenptFlags::CLOEXEC).expect("the system has terminals");
        grantpt(&far_end).expect("a terminal can be used");
        unlockpt(&far_end).expect("a terminal can be used");
        let near_end =
            ioctl_tiocgptpeer(&far_end, flags | OpenptFlags::CLOEXEC).expect("a terminal has two ends");
        tcsetwinsize(&far_end, size(columns, rows)).expect("a terminal takes any size");
        let end = || Stdio::from(near_end.try_clone().expect("a descriptor can be copied"));
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn();
        let child = child.unwrap_or_else(|error| panic!("setsid (util-linux) does not start: {error}"));
        let keyboard = File::from(far_end);
        let (rows, columns) = checked(columns, rows);
        let seen = Arc::new(Mutex::new(Seen { parser: Parser::new(rows, columns, 0), raw: Vec::new() }));
        let (mut paper, own) = (keyboard.try_clone().expect("a descriptor can be copied"), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = paper.read(&mut bytes) {
                let mut seen = own.lock().unwrap();
                seen.parser.process(&bytes[..count]);
                seen.raw.extend_from_slice(&bytes[..count]);
            }
        });
        Self { child, keyboard, near_end, seen }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What stands on the screen.
    pub fn text(&self) -> String {
        self.with_screen(Screen::contents)
    }

    /// Every byte that was written.
    pub fn raw(&self) -> Vec<u8> {
        self.seen.lock().unwrap().raw.clone()
    }

    /// Whether something on the screen has a colour.
    pub fn has_colours(&self) -> bool {
        self.with_screen(|screen| {
            let (rows, columns) = screen.size();
            let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
            cells
                .filter_map(|(row, column)| screen.cell(row, column))
                .any(|cell| cell.fgcolor() != Color::Default || cell.bgcolor() != Color::Default)
        })
    }

    /// Whether the shell's screen is shown again, with its cursor, and what is typed is seen and comes line by line.
    pub fn is_given_back(&self) -> bool {
        let modes = tcgetattr(&self.near_end).expect("a terminal has modes").local_modes;
        let is_cooked = modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        is_cooked && self.with_screen(|screen| !screen.alternate_screen() && !screen.hide_cursor())
    }

    fn with_screen<Found>(&self, look: impl FnOnce(&Screen) -> Found) -> Found {
        look(self.seen.lock().unwrap().parser.screen())
    }

    /// Waits until the screen is as the closure wants it, and returns its text.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let came = holds_within(PATIENCE, || {
            last = self.text();
            wanted(&last)
        });
        assert!(came, "the screen never showed {what}; the last one:\n{last}");
        last
    }

    /// Waits until this text stands on it.
    #[track_caller]
    pub fn wait_for_text(&self, text: &str) -> String {
        self.wait_for(text, |screen| screen.contains(text))
    }

    /// Presses keys.
    #[track_caller]
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Gives it another size.
    #[track_caller]
    pub fn resize(&self, columns: u16, rows: u16) {
        let (height, width) = checked(columns, rows);
        self.seen.lock().unwrap().parser.set_size(height, width);
        tcsetwinsize(&self.keyboard, size(columns, rows)).expect("a terminal takes any size");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.id()).expect("a process id")).expect("not zero");
        let _ = kill_process(id, signal);
    }

    /// Waits for its end; `None` when it still runs at the limit.
    pub fn wait_for_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        exit_of(&mut self.child, limit)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Rows and columns, as the reader wants them.
fn checked(columns: u16, rows: u16) -> (NonZeroU16, NonZeroU16) {
    let checked = |size| NonZeroU16::new(size).expect("a terminal has rows and columns");
    (checked(rows), checked(columns))
}
