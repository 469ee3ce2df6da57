//! `explain URL`: which way a request would go, by the configuration alone.

use std::process::ExitCode;
use std::time::Instant;

use loadweaver_control::explain::{Asked, Explanation, Misfit, Scene, explain};
use loadweaver_proxy::Snapshot;
use loadweaver_telemetry::event::EventBus;

use crate::arguments::Question;
use crate::config_file::{self, Loaded, load};
use crate::terminal::{complain, issue_text, printable, say};
use crate::{FAILED, REFUSED};

/// The command `explain`.
pub(crate) fn command(question: &Question) -> ExitCode {
    let file = config_file::path(question.config.clone());
    let Loaded { parsed, .. } = match load(&file) {
        Ok(loaded) => loaded,
        Err(refusal) => return refusal.tell(),
    };
    // Nobody runs it: events would be told to nobody.
    let snapshot = match Snapshot::build(1, parsed.config, &EventBus::new(1), Instant::now()) {
        Ok(snapshot) => snapshot,
        Err(issues) => {
            issues.0.iter().for_each(|issue| complain(issue_text(issue)));
            return ExitCode::from(REFUSED);
        }
    };
    match asked(question).and_then(|asked| explain(&Scene::at_rest(&snapshot), &asked)) {
        Ok(explanation) => tell(question, &explanation),
        Err(misfit) => {
            complain(format_args!("{}\n    {}", printable(&misfit.to_string()), printable(&misfit.help)));
            ExitCode::from(REFUSED)
        }
    }
}

fn asked(question: &Question) -> Result<Asked, Misfit> {
    let mut asked = Asked::of_url(&question.url)?;
    asked.method.clone_from(&question.method);
    asked.listener.clone_from(&question.listener);
    for header in &question.headers {
        asked.add_header(header)?;
    }
    if let Some(client) = &question.client_ip {
        asked.set_client(client)?;
    }
    Ok(asked)
}

fn tell(question: &Question, explanation: &Explanation) -> ExitCode {
    if !question.json {
        say(explanation);
        return ExitCode::SUCCESS;
    }
    match serde_json::to_string_pretty(explanation) {
        Ok(text) => {
            say(text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(error);
            ExitCode::from(FAILED)
        }
    }
}
