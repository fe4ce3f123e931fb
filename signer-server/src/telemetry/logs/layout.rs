//! The forms of a log line.
//!
//! The plain form is `Web3Signer`'s. The JSON forms have the members of the event templates that
//! Log4j's JSON Template Layout brings along (`EcsLayout`, `GcpLayout`, `GelfLayout`,
//! `LogstashJsonEventLayoutV1`), which `Web3Signer` uses; an event's fields stand where these
//! templates put the thread's context, as strings.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Serialize, Serializer, ser::SerializeMap};
use tracing::Level;

use super::{escape, event::Fields, event::Record, options::LogFormat};

/// What the lines need besides the event.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Name of the machine.
    pub(super) host: String,
    /// For the forms that show local time.
    pub(super) time_zone: TimeZone,
}

/// The line of one event, without its end. `number` counts the events of the process.
pub(super) fn line(
    format: LogFormat,
    surroundings: &Surroundings,
    record: &Record,
    number: u64,
) -> Result<String, fmt::Error> {
    match format {
        LogFormat::Plain => plain(surroundings, record),
        LogFormat::Ecs => json(&Ecs::new(record)),
        LogFormat::Gcp => json(&Gcp::new(record, number)),
        LogFormat::Gelf => json(&Gelf { surroundings, record }),
        LogFormat::Logstash => json(&Logstash::new(surroundings, record)),
    }
}

fn json(line: &impl Serialize) -> Result<String, fmt::Error> {
    serde_json::to_string(line).map(|text| escape::json(&text)).map_err(|_| fmt::Error)
}

/// `yyyy-MM-dd HH:mm:ss.SSSZZZ | thread | LEVEL | target | message`, then the fields.
fn plain(surroundings: &Surroundings, record: &Record) -> Result<String, fmt::Error> {
    let mut line = String::new();
    write!(
        line,
        "{} | {} | {:<5} | {} | {}",
        record.time.to_zoned(surroundings.time_zone.clone()).strftime("%Y-%m-%d %H:%M:%S.%3f%:z"),
        escape::plain(&record.thread),
        record.level.as_str(),
        record.target,
        escape::plain(&record.message),
    )?;
    for (name, value) in &record.fields.0 {
        write!(line, " {name}={}", escape::plain(&quoted(value)))?;
    }
    Ok(line)
}

/// A value that could be taken for several fields, or for none, in quotation marks.
fn quoted(value: &str) -> Cow<'_, str> {
    if value.is_empty() || value.contains([' ', '"', '=']) {
        Cow::Owned(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
    } else {
        Cow::Borrowed(value)
    }
}

fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Elastic Common Schema 1.2.
#[derive(Serialize)]
struct Ecs<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: String,
    #[serde(rename = "ecs.version")]
    version: &'static str,
    #[serde(rename = "log.level")]
    level: &'static str,
    message: &'a str,
    #[serde(rename = "process.thread.name")]
    thread: &'a str,
    #[serde(rename = "log.logger")]
    logger: &'a str,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    labels: &'a Fields,
}

impl<'a> Ecs<'a> {
    fn new(record: &'a Record) -> Self {
        Self {
            timestamp: utc(record.time),
            version: "1.2.0",
            level: record.level.as_str(),
            message: &record.message,
            thread: &record.thread,
            logger: record.target,
            labels: &record.fields,
        }
    }
}

/// Google Cloud Logging's structured log entries.
#[derive(Serialize)]
struct Gcp<'a> {
    timestamp: String,
    severity: &'static str,
    message: &'a str,
    #[serde(rename = "logging.googleapis.com/labels", skip_serializing_if = "Fields::is_empty")]
    labels: &'a Fields,
    #[serde(rename = "logging.googleapis.com/sourceLocation")]
    source_location: SourceLocation,
    /// Entries with the same time and this same text are taken for one.
    #[serde(rename = "logging.googleapis.com/insertId")]
    insert_id: String,
    #[serde(rename = "_thread")]
    thread: &'a str,
    #[serde(rename = "_logger")]
    logger: &'a str,
}

#[derive(Serialize)]
struct SourceLocation {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// The module: which function logged is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'static str>,
}

impl<'a> Gcp<'a> {
    fn new(record: &'a Record, number: u64) -> Self {
        Self {
            timestamp: utc(record.time),
            severity: match record.level {
                Level::ERROR => "ERROR",
                Level::WARN => "WARNING",
                Level::INFO => "INFO",
                Level::DEBUG | Level::TRACE => "DEBUG",
            },
            message: &record.message,
            labels: &record.fields,
            source_location: SourceLocation {
                file: record.file,
                line: record.line,
                function: record.module,
            },
            insert_id: number.to_string(),
            thread: &record.thread,
            logger: record.target,
        }
    }
}

/// Graylog Extended Log Format 1.1: own members begin with an underscore, also the fields.
struct Gelf<'a> {
    surroundings: &'a Surroundings,
    record: &'a Record,
}

impl Serialize for Gelf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { surroundings, record } = self;
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("version", "1.1")?;
        line.serialize_entry("host", &surroundings.host)?;
        line.serialize_entry("short_message", &record.message)?;
        line.serialize_entry("timestamp", &record.time.as_duration().as_secs_f64())?;
        line.serialize_entry("level", &syslog_severity(record.level))?;
        line.serialize_entry("_logger", record.target)?;
        line.serialize_entry("_thread", &record.thread)?;
        for (name, value) in &record.fields.0 {
            // `_id` is forbidden by the format; the others stand above.
            let suffix = if matches!(*name, "id" | "logger" | "thread") { "_" } else { "" };
            line.serialize_entry(&format!("_{name}{suffix}"), value)?;
        }
        line.end()
    }
}

/// RFC 5424, section 6.2.1.
fn syslog_severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Logstash's event layout, version 1.
#[derive(Serialize)]
struct Logstash<'a> {
    #[serde(skip_serializing_if = "Fields::is_empty")]
    mdc: &'a Fields,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(rename = "@version")]
    version: u8,
    source_host: &'a str,
    message: &'a str,
    thread_name: &'a str,
    #[serde(rename = "@timestamp")]
    timestamp: String,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'static str>,
    logger_name: &'a str,
}

impl<'a> Logstash<'a> {
    fn new(surroundings: &'a Surroundings, record: &'a Record) -> Self {
        let time = record.time.to_zoned(surroundings.time_zone.clone());
        Self {
            mdc: &record.fields,
            line_number: record.line,
            class: record.module,
            version: 1,
            source_host: &surroundings.host,
            message: &record.message,
            thread_name: &record.thread,
            timestamp: time.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string(),
            level: record.level.as_str(),
            file: record.file,
            logger_name: record.target,
        }
    }
}
