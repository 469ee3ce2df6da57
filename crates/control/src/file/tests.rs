#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::{PermissionsExt, symlink};

use loadweaver_testkit::scratch::Scratch;

use super::*;

#[test]
fn replaces_the_text_and_keeps_the_ones_before_it() {
    let scratch = Scratch::new();
    let path = scratch.path().join("config.json");
    fs::write(&path, "0").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    for number in 1..=7 {
        replace(&path, number.to_string().as_bytes()).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "7");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    for number in 1..=KEPT {
        assert_eq!(fs::read_to_string(numbered(&path, number)).unwrap(), (7 - number).to_string());
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), KEPT + 1);
}

#[test]
fn a_symbolic_link_stays_and_what_it_leads_to_is_replaced() {
    let scratch = Scratch::new();
    let (target, link) = (scratch.path().join("real.json"), scratch.path().join("config.json"));
    fs::write(&target, "old").unwrap();
    symlink(&target, &link).unwrap();
    replace(&link, b"new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), "new");
}

#[test]
fn a_file_without_write_permission_stays_as_it_is() {
    let scratch = Scratch::new();
    let path = scratch.path().join("config.json");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(replace(&path, b"new").unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
}

#[test]
fn a_link_in_the_place_of_the_fresh_file_leads_nowhere() {
    let scratch = Scratch::new();
    let (path, victim) = (scratch.file("config.json", "old"), scratch.file("victim", "precious"));
    symlink(&victim, beside(&path, ".new")).unwrap();
    replace(&path, b"new").unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
}

#[test]
fn a_pipe_in_the_place_of_the_file_is_not_waited_for() {
    let scratch = Scratch::new();
    let path = scratch.path().join("config.json");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from(0o600)).unwrap();
    assert_eq!(read_again(&path).unwrap_err().why, NO_FILE);
    assert_eq!(replace_known(&path, "old", "new").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(read_again(scratch.path()).unwrap_err().why, "is a directory");
}

#[test]
fn a_stamp_tells_a_file_that_was_renamed_over_or_reached_by_another_link() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    fs::write(at("a"), "same").unwrap();
    fs::write(at("b"), "same").unwrap();
    symlink(at("a"), at("link")).unwrap();
    let first = Stamp::of(&at("link")).unwrap();
    assert_eq!(Stamp::of(&at("link")), Some(first));
    symlink(at("b"), at("fresh")).unwrap();
    fs::rename(at("fresh"), at("link")).unwrap();
    let second = Stamp::of(&at("link")).unwrap();
    assert_ne!(first, second);
    fs::rename(at("a"), at("b")).unwrap();
    assert_ne!(Stamp::of(&at("link")), Some(second));
    fs::remove_file(at("b")).unwrap();
    assert_eq!(Stamp::of(&at("link")), None);
}

#[test]
fn a_stamp_tells_a_file_whose_permissions_were_mended() {
    let scratch = Scratch::new();
    let path = scratch.file("config.json", "{}");
    let stamp = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Stamp::of(&path).unwrap()
    };
    assert_eq!(stamp(0o600), stamp(0o600));
    assert_ne!(stamp(0o600), stamp(0o644));
}

#[test]
fn a_device_or_a_socket_is_not_read() {
    let scratch = Scratch::new();
    let socket = scratch.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(read_again(Path::new("/dev/zero")).unwrap_err().why, NO_FILE);
    assert!(read_again(&socket).unwrap_err().why.contains("cannot be read"));
}

#[test]
fn a_huge_file_is_refused_without_being_read() {
    let scratch = Scratch::new();
    let path = scratch.file("config.json", "");
    File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(read_again(&path).unwrap_err().why, "is larger than 16 MiB");
}

#[test]
fn a_file_says_what_it_says_to_the_last_byte() {
    let scratch = Scratch::new();
    for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
        let text = "x".repeat(length);
        let path = scratch.file("config.json", &text);
        assert!(says(&path, &text).unwrap());
        assert!(!says(&path, &format!("{text}x")).unwrap());
        assert!(length == 0 || !says(&path, &text[1..]).unwrap());
        assert!(length == 0 || !says(&path, &format!("{}y", &text[1..])).unwrap());
    }
    assert!(says(&scratch.path().join("nothing"), "").is_err());
}
