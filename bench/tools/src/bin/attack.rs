//! The bench attacker: connections that do one thing only, and come back when they are cut.
//!
//! It prints one JSON line: connections made, how many of them the proxy ended (`goaway` of those with a GOAWAY),
//! connections that could not be made, and bytes sent.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::{Long, ValueExt};
use loadweaver_bench_tools::attack::{Attack, Script};
use loadweaver_bench_tools::frames::Scan;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

const HELP: &str = "attack --target ADDRESS --name NAME [options]   prints one JSON line
  --connections N   at once (default 8)
  --connects R      new connections per second at the most (default 0: as many as it takes)
  --bytes R         bytes per second at the most, of all connections (default 0: as many as go)
  --seconds S       (default 20)";

struct Options {
    target: SocketAddr,
    attack: Attack,
    connections: usize,
    connects: f64,
    bytes: f64,
    time: Duration,
}

#[derive(Debug, Default)]
struct Tally {
    connects: u64,
    failed: u64,
    cut: u64,
    goaway: u64,
    left: u64,
    bytes: u64,
}

struct Attacker {
    stream: TcpStream,
    script: Script,
    scan: Scan,
    begun: Instant,
    /// What is to be written, and how much of it was.
    chunk: Vec<u8>,
    written: usize,
    readable: bool,
    writable: bool,
    /// The proxy has reset the connection.
    reset: bool,
}

/// How an attacker's connection stands.
#[derive(PartialEq, Eq)]
enum Stands {
    Working,
    Waiting,
    /// The proxy has ended it, with a GOAWAY or without.
    Cut {
        goaway: bool,
    },
    /// The attacker has got what it wanted.
    Left,
}

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--help") {
        println!("{HELP}\nnames: {}", Attack::NAMES.join(" "));
        return ExitCode::SUCCESS;
    }
    let result = options(lexopt::Parser::from_env())
        .map_err(|error| io::Error::other(format!("{error}\n{HELP}")))
        .and_then(|options| attack(&options));
    match result {
        Ok(Tally { connects, failed, cut, goaway, left, bytes }) => {
            println!(
                "{{\"connects\":{connects},\"failed\":{failed},\"cut\":{cut},\"goaway\":{goaway},\
                 \"left\":{left},\"bytes\":{bytes}}}"
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("attack: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut args: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut target, mut attack) = (None, None);
    let (mut connections, mut connects, mut bytes) = (8, 0.0, 0.0);
    let mut time = Duration::from_secs(20);
    while let Some(arg) = args.next()? {
        match arg {
            Long("target") => target = Some(args.value()?.parse()?),
            Long("name") => {
                let name = args.value()?.string()?;
                attack = Some(Attack::named(&name).ok_or(format!("no attack {name}"))?);
            }
            Long("connections") => connections = args.value()?.parse()?,
            Long("connects") => connects = args.value()?.parse()?,
            Long("bytes") => bytes = args.value()?.parse()?,
            Long("seconds") => time = args.value()?.parse_with(|v| v.parse().map(Duration::from_secs_f64))?,
            other => return Err(other.unexpected()),
        }
    }
    let target = target.ok_or("--target is needed")?;
    let attack = attack.ok_or("--name is needed")?;
    Ok(Options { target, attack, connections, connects, bytes, time })
}

fn attack(options: &Options) -> io::Result<Tally> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut tally = Tally::default();
    let mut attackers: Vec<Option<Attacker>> = (0..options.connections).map(|_| None).collect();
    let mut buffer = vec![0; 64 * 1024];
    let start = Instant::now();
    loop {
        let elapsed = start.elapsed();
        if elapsed >= options.time {
            return Ok(tally);
        }
        let within = |rate: f64, spent: u64| rate == 0.0 || spent as f64 <= rate * elapsed.as_secs_f64();
        let mut busy = false;
        for (slot, place) in attackers.iter_mut().enumerate() {
            let Some(attacker) = place else {
                if within(options.connects, tally.connects) {
                    *place = begin(options, &poll, slot, &mut tally);
                    busy |= place.is_some();
                }
                continue;
            };
            let may_write = within(options.bytes, tally.bytes);
            match attacker.turn(options.attack, &mut buffer, (may_write, &mut tally.bytes)) {
                Stands::Working => busy = true,
                Stands::Waiting => {}
                stands => {
                    match stands {
                        Stands::Cut { goaway } => {
                            tally.cut += 1;
                            tally.goaway += u64::from(goaway);
                        }
                        _ => tally.left += 1,
                    }
                    *place = None;
                    busy = true;
                }
            }
        }
        let wait = if busy { Duration::ZERO } else { Duration::from_millis(1) };
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if let Some(Some(attacker)) = attackers.get_mut(event.token().0) {
                attacker.readable |= event.is_readable() || event.is_read_closed();
                attacker.writable |= event.is_writable();
                attacker.reset |= event.is_write_closed();
            }
        }
    }
}

fn begin(options: &Options, poll: &Poll, slot: usize, tally: &mut Tally) -> Option<Attacker> {
    tally.connects += 1;
    let mut stream = TcpStream::connect(options.target).inspect_err(|_| tally.failed += 1).ok()?;
    let _ = stream.set_nodelay(true);
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut stream, Token(slot), interest).ok()?;
    Some(Attacker {
        stream,
        script: Script::new(options.attack),
        scan: Scan::default(),
        begun: Instant::now(),
        chunk: Vec::new(),
        written: 0,
        readable: false,
        writable: false,
        reset: false,
    })
}

impl Attacker {
    /// Reads what there is, writes one piece.
    fn turn(&mut self, attack: Attack, buffer: &mut [u8], (may_write, bytes): (bool, &mut u64)) -> Stands {
        let mut stands = Stands::Waiting;
        if self.reset && !attack.reads() {
            return Stands::Cut { goaway: false };
        }
        if attack.stays().is_some_and(|time| self.begun.elapsed() >= time) {
            return Stands::Left;
        }
        if self.readable && attack.reads() {
            match self.stream.read(buffer) {
                Ok(0) => return Stands::Cut { goaway: false },
                Ok(_) if attack.leaves_at_answer() => return Stands::Left,
                Ok(read) if self.scan.sees_goaway(&buffer[..read]) => return Stands::Cut { goaway: true },
                Ok(_) => stands = Stands::Working,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => return Stands::Cut { goaway: false },
            }
        }
        if !self.writable || !may_write {
            return stands;
        }
        if self.written == self.chunk.len() {
            self.chunk.clear();
            self.written = 0;
            if self.script.more(&mut self.chunk).is_err() || self.chunk.is_empty() {
                return stands;
            }
        }
        match self.stream.write(&self.chunk[self.written..]) {
            Ok(written) => {
                self.written += written;
                *bytes += written as u64;
                stands = Stands::Working;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
            // What the proxy said before it closed may still be readable.
            Err(_) if self.readable && attack.reads() => self.writable = false,
            Err(_) => return Stands::Cut { goaway: false },
        }
        stands
    }
}
