//! What is said of a panic: on which thread and where, but not what with.
//!
//! The standard library prints a panic's message on standard error, and that message may repeat
//! values: an `unwrap` prints the error that it met. Here only a message that is constant text is
//! shown, because that can hold no secret.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write},
    panic::{self, PanicHookInfo},
};

const WITHHELD: &str = "its message is withheld, because it may repeat a secret";

/// Replaces the standard library's report of panics by a line in the log, or on standard error
/// where there is no log.
pub fn report_panics_without_values() {
    panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let message = constant_message(panic.payload()).unwrap_or(WITHHELD);
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(location, "a thread panicked: {message}");
    } else {
        // There is no log yet, or it is off, and this may be the end of the process. Nobody is
        // left to tell when writing fails.
        let line = format!("a thread panicked: {message} location={location}\n");
        drop(io::stderr().write_all(line.as_bytes()));
    }
    // Asked for by RUST_BACKTRACE. It has names of functions and no values.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        drop(writeln!(io::stderr(), "{backtrace}"));
    }
}

/// The message, when it is text of the program itself: one that was put together at run time is a
/// `String`.
fn constant_message(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command, thread};

    use super::{
        super::{LogFormat, LogLevel, LogOutput, init},
        *,
    };

    const CHILD: &str = "MIDSLOT_TEST_PANICS_AT_LEVEL";

    /// Panics on a thread, in a process of its own: the hook is the process'.
    #[test]
    fn panics_in_the_child() {
        let Ok(level) = env::var(CHILD) else { return };
        let level = if level == "OFF" { LogLevel::Off } else { LogLevel::Info };
        init(level, LogFormat::Plain, LogOutput::Stdout).unwrap();
        report_panics_without_values();
        let password = "hunter2".to_owned();
        let with_value = thread::spawn(move || panic!("the password is {password}"));
        assert!(with_value.join().is_err());
        assert!(thread::spawn(|| panic!("constant text")).join().is_err());
    }

    #[test]
    fn a_panic_is_reported_without_its_values() {
        let test = "telemetry::logs::panics::tests::panics_in_the_child";
        for level in ["INFO", "OFF"] {
            let ended = Command::new(env::current_exe().unwrap())
                .args(["--exact", test, "--nocapture"])
                .env(CHILD, level)
                .env("RUST_BACKTRACE", "0")
                .output()
                .unwrap();
            let output = [ended.stdout, ended.stderr].concat();
            let output = String::from_utf8(output).unwrap();
            assert!(ended.status.success(), "{output}");
            assert!(!output.contains("hunter2"), "{output}");
            assert_eq!(output.matches("a thread panicked: ").count(), 2, "{output}");
            assert!(output.contains("a thread panicked: constant text"), "{output}");
            assert_eq!(output.matches("panics.rs:").count(), 2, "{output}");
        }
    }
}
