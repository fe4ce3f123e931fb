use std::{io::Write, sync::Arc, thread};

use jiff::tz::Offset;
use parking_lot::Mutex;
use tracing::subscriber::with_default;

use super::*;

/// Lines in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged by `events`, on a thread named `worker-1`, at one moment, two hours east of UTC.
fn logged(level: LogLevel, format: LogFormat, events: fn()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let layout = Layout {
        format,
        clock: || "2024-05-06T21:08:09.012345Z".parse().unwrap(),
        surroundings: Surroundings {
            host: "node-7".to_owned(),
            time_zone: TimeZone::fixed(Offset::constant(2)),
        },
        events: AtomicU64::new(0),
    };
    let subscriber = subscriber(level, layout, move || writer.clone());
    thread::Builder::new()
        .name("worker-1".to_owned())
        .spawn(move || with_default(subscriber, events))
        .unwrap()
        .join()
        .unwrap();
    let bytes = lines.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

/// One event whose place in the source is known, and one without fields.
fn two_events() {
    #[rustfmt::skip]
    tracing::warn!(target: "signer_server::keys", key = "0xab", count = 3, r#type = %"BLOCK V2", "key \"a\" skipped");
    tracing::info!(target: "signer_server::app", "ready");
}

/// The line of the first event above.
fn source_line() -> u32 {
    let position = include_str!("tests.rs").lines().position(|line| line.contains("warn!(target"));
    u32::try_from(position.unwrap() + 1).unwrap()
}

fn first_line(format: LogFormat) -> String {
    logged(LogLevel::Info, format, two_events).lines().next().unwrap().to_owned()
}

#[test]
fn plain() {
    assert_eq!(
        logged(LogLevel::Info, LogFormat::Plain, two_events),
        "2024-05-06 23:08:09.012+02:00 | worker-1 | WARN  | signer_server::keys | key \"a\" skipped \
         key=0xab count=3 type=\"BLOCK V2\"\n\
         2024-05-06 23:08:09.012+02:00 | worker-1 | INFO  | signer_server::app | ready\n"
    );
}

#[test]
fn ecs() {
    assert_eq!(
        logged(LogLevel::Info, LogFormat::Ecs, two_events),
        concat!(
            r#"{"@timestamp":"2024-05-06T21:08:09.012Z","ecs.version":"1.2.0","log.level":"WARN","#,
            r#""message":"key \"a\" skipped","process.thread.name":"worker-1","#,
            r#""log.logger":"signer_server::keys","#,
            r#""labels":{"key":"0xab","count":"3","type":"BLOCK V2"}}"#,
            "\n",
            r#"{"@timestamp":"2024-05-06T21:08:09.012Z","ecs.version":"1.2.0","log.level":"INFO","#,
            r#""message":"ready","process.thread.name":"worker-1","#,
            r#""log.logger":"signer_server::app"}"#,
            "\n"
        )
    );
}

#[test]
fn gcp() {
    let expected = concat!(
        r#"{"timestamp":"2024-05-06T21:08:09.012Z","severity":"WARNING","#,
        r#""message":"key \"a\" skipped","#,
        r#""logging.googleapis.com/labels":{"key":"0xab","count":"3","type":"BLOCK V2"},"#,
        r#""logging.googleapis.com/sourceLocation":{"file":"signer-server/src/telemetry/logs/tests.rs","#,
        r#""line":LINE,"function":"signer_server::telemetry::logs::tests"},"#,
        r#""logging.googleapis.com/insertId":"0","_thread":"worker-1","#,
        r#""_logger":"signer_server::keys"}"#,
    );
    let expected = expected.replace("LINE", &source_line().to_string());
    assert_eq!(first_line(LogFormat::Gcp), expected);
    let both = logged(LogLevel::Info, LogFormat::Gcp, two_events);
    assert!(both.contains(r#""logging.googleapis.com/insertId":"1""#), "{both}");
}

#[test]
fn gelf() {
    assert_eq!(
        first_line(LogFormat::Gelf),
        concat!(
            r#"{"version":"1.1","host":"node-7","short_message":"key \"a\" skipped","#,
            r#""timestamp":1715029689.012345,"level":4,"_logger":"signer_server::keys","#,
            r#""_thread":"worker-1","_key":"0xab","_count":"3","_type":"BLOCK V2"}"#,
        )
    );
    let reserved = logged(LogLevel::Info, LogFormat::Gelf, || {
        tracing::error!(target: "signer_server", id = 1, thread = 2, "x");
    });
    assert!(reserved.contains(r#""level":3,"#), "{reserved}");
    assert!(reserved.ends_with("\"_thread\":\"worker-1\",\"_id_\":\"1\",\"_thread_\":\"2\"}\n"));
}

#[test]
fn logstash() {
    let expected = concat!(
        r#"{"mdc":{"key":"0xab","count":"3","type":"BLOCK V2"},"line_number":LINE,"#,
        r#""class":"signer_server::telemetry::logs::tests","@version":1,"source_host":"node-7","#,
        r#""message":"key \"a\" skipped","thread_name":"worker-1","#,
        r#""@timestamp":"2024-05-06T23:08:09.012+02:00","level":"WARN","#,
        r#""file":"signer-server/src/telemetry/logs/tests.rs","#,
        r#""logger_name":"signer_server::keys"}"#,
    );
    let expected = expected.replace("LINE", &source_line().to_string());
    assert_eq!(first_line(LogFormat::Logstash), expected);
}

#[test]
fn no_text_can_forge_a_line() {
    for format in LogFormat::ALL {
        let lines = logged(LogLevel::Info, format, || {
            let forged = "x\n2024-01-01 | main | ERROR | a | b\r\u{1b}[2K\u{2028}\u{85}";
            tracing::info!(target: "signer_server", path = forged, debug = ?forged, "{forged}");
        });
        assert!(lines.ends_with('\n'));
        let line = &lines[..lines.len() - 1];
        let lines_or_controls = |character: char| character.is_control() || character == '\u{2028}';
        assert!(!line.contains(lines_or_controls), "{format:?}: {line}");
        if format != LogFormat::Plain {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
}

#[test]
fn plain_field_values_are_unambiguous() {
    let line = logged(LogLevel::Info, LogFormat::Plain, || {
        tracing::info!(target: "signer_server", path = r"C:\keys", text = r#"a\" b=1"#, empty = "", "x");
    });
    assert!(line.ends_with("| x path=C:\\keys text=\"a\\\\\\\" b=1\" empty=\"\"\n"), "{line}");
}

#[test]
fn errors_are_logged_with_their_causes() {
    let line = logged(LogLevel::Info, LogFormat::Plain, || {
        let cause = io::Error::other("disk full");
        let error = io::Error::other(Wrapped(cause));
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::error!(target: "signer_server", error, "no audit");
    });
    assert!(line.ends_with("no audit error=\"can't write: disk full\"\n"), "{line}");
}

#[derive(Debug, thiserror::Error)]
#[error("can't write")]
struct Wrapped(#[source] io::Error);

fn one_event_per_level() {
    tracing::error!(target: "signer_server::x", "own");
    tracing::warn!(target: "signer_client::x", "own");
    tracing::info!(target: "signer_server", "own");
    tracing::debug!(target: "signer_server", "own");
    tracing::trace!(target: "signer_server", "own");
    tracing::warn!(target: "h2::codec", "foreign");
    tracing::info!(target: "sqlx::query", "foreign");
    tracing::debug!(target: "sqlx::query", "foreign");
    tracing::trace!(target: "hyper", "foreign");
}

#[test]
fn levels_hold_for_our_crates_and_others_never_log_below_info() {
    for (level, own, foreign) in [
        (LogLevel::Off, 0, 0),
        (LogLevel::Fatal, 0, 0),
        (LogLevel::Error, 1, 0),
        (LogLevel::Warn, 2, 1),
        (LogLevel::Info, 3, 2),
        (LogLevel::Debug, 4, 2),
        (LogLevel::Trace, 5, 2),
        (LogLevel::All, 5, 2),
    ] {
        let lines = logged(level, LogFormat::Plain, one_event_per_level);
        let count = |message| lines.lines().filter(|line| line.ends_with(message)).count();
        assert_eq!((count("own"), count("foreign")), (own, foreign), "{level:?}");
    }
}

#[test]
fn logging_is_set_up_once() {
    // Which of the tests of this process comes first is not known; the second attempt fails.
    let _ = init(LogLevel::Off, LogFormat::Plain, LogOutput::Stdout);
    assert_eq!(init(LogLevel::Trace, LogFormat::Ecs, LogOutput::Stderr), Err(LoggingAlreadySetUp));
}
