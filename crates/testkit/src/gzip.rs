use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// What was packed with gzip, as Debian's gzip reads it.
#[track_caller]
pub fn unpacked(bytes: &[u8]) -> String {
    let mut gzip =
        Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut into, bytes) = (gzip.stdin.take().unwrap(), bytes.to_vec());
    // Beside the reading: neither pipe holds all of it.
    let writer = std::thread::spawn(move || into.write_all(&bytes));
    let mut text = String::new();
    gzip.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    writer.join().unwrap().unwrap();
    assert!(gzip.wait().unwrap().success());
    text
}
