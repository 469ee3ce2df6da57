//! The files of Unix sockets in a folder that somebody else may write.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use loadweaver_proxy::unix;

/// How often a socket is opened while somebody is about to put a link in its place.
const ROUNDS: u32 = 2000;

#[test]
fn a_link_put_in_the_place_of_a_socket_has_no_file_opened_up() {
    let folder = std::env::temp_dir().join(format!("loadweaver-unix-sockets-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let [path, link, precious] = ["web.sock", "link", "precious"].map(|name| folder.join(name));
    fs::write(&precious, "data").unwrap();
    fs::set_permissions(&precious, Permissions::from_mode(0o600)).unwrap();
    let stop = AtomicBool::new(false);
    let mode = || fs::metadata(&precious).unwrap().permissions().mode() & 0o7777;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
                    symlink(&precious, &link).unwrap();
                    fs::rename(&link, &path).unwrap();
                }
            }
        });
        for _ in 0..ROUNDS {
            // It may fail, since somebody else's file stands there.
            drop(unix::open(path.to_str().unwrap(), 0o666));
            if mode() != 0o600 {
                break;
            }
            let _ = fs::remove_file(&path);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let found = mode();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found, 0o600);
}
