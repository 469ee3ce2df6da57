//! `docs/webhooks.md` against what is really sent: its examples verify a message, and refuse a changed one.

use std::path::Path;
use std::process::{Command, Stdio};

use loadweaver_testkit::scratch::Scratch;

use super::*;

/// The example in a language.
fn example(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/webhooks.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Whether a program says that the body in the folder is ours.
fn says_yes(program: &[&str], code: &str, folder: &Path, signature: &str) -> bool {
    let output = Command::new(program[0])
        .args(&program[1..])
        .arg(code)
        .current_dir(folder)
        .env("HOOK_SECRET", SECRET)
        .env("SIGNATURE", signature)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program[0]));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.is_empty(), "{}: {complaint}", program[0]);
    output.status.success()
}

#[tokio::test]
async fn the_examples_tell_our_messages_from_others() {
    let origin = Origin::answering(reply(200, ""));
    let setting = Setting::new(&[hook(&origin)]);
    setting.bus.emit(Event::PoolDown { pool: "käse".into(), reason: "a \"reason\" & more".into() });
    let request = requests(&origin, 1).await.remove(0);
    let signature = request.fields.get("x-loadweaver-signature").unwrap();
    let python = example("python")
        + "import os, sys\n\
           sys.exit(not is_from_loadweaver(os.environ['HOOK_SECRET'], open('body.json', 'rb').read(), os.environ['SIGNATURE']))\n";
    let node = example("javascript")
        + "const { HOOK_SECRET, SIGNATURE } = process.env;\n\
           process.exit(isFromLoadWeaver(HOOK_SECRET, require('fs').readFileSync('body.json'), SIGNATURE) ? 0 : 1);\n";
    let mut programs = vec![(vec!["python3", "-c"], python), (vec!["sh", "-c"], example("sh"))];
    // Not every machine has it.
    if Command::new("node").arg("--version").output().is_ok() {
        programs.push((vec!["node", "-e"], node));
    }
    let scratch = Scratch::new();
    for (program, code) in &programs {
        scratch.file("body.json", &request.body);
        assert!(says_yes(program, code, scratch.path(), signature), "{program:?}");
        assert!(!says_yes(program, code, scratch.path(), &signature[..signature.len() - 1]), "{program:?}");
        let mut changed = request.body.clone();
        changed[10] ^= 1;
        scratch.file("body.json", changed);
        assert!(!says_yes(program, code, scratch.path(), signature), "{program:?}");
    }
}
