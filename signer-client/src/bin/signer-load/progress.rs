//! Progress: one line that changes on a terminal, else a line now and then.

use std::{
    cell::Cell,
    io::{IsTerminal as _, Write as _},
};

use signer_client::load::Progress;

/// Shows progress on standard error.
pub(super) struct ProgressLine {
    is_terminal: bool,
    /// What was last said in plain lines.
    last: Cell<Option<u64>>,
}

impl ProgressLine {
    pub(super) fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), last: Cell::new(None) }
    }

    pub(super) fn run(&self, progress: Progress) {
        let Progress { slots_done, slots, sent, failed, missed } = progress;
        let text = format!(
            "slot {slots_done} of {slots}: {sent} requests, {failed} errors, {missed} missed"
        );
        self.say(slots_done, &text);
    }

    pub(super) fn keystores(&self, done: u64, count: u64) {
        if done.is_multiple_of(1000) || done == count {
            self.say(done, &format!("{done} of {count} keystores"));
        }
        if done == count {
            self.finish();
        }
    }

    /// Ends the line.
    pub(super) fn finish(&self) {
        if self.is_terminal {
            eprintln!();
        }
    }

    fn say(&self, step: u64, text: &str) {
        if self.is_terminal {
            eprint!("\r{text}\u{1b}[K");
            // What can't be shown is not missed.
            drop(std::io::stderr().flush());
        } else if self.last.replace(Some(step)) != Some(step) {
            eprintln!("{text}");
        }
    }
}
