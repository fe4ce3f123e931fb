//! One event, taken apart: what every form of a log line is made of.

use std::{fmt, thread};

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

use super::causes::with_causes;

/// An event with its surroundings.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    pub(super) thread: String,
    pub(super) level: Level,
    /// Module that logged, unless the event names another target.
    pub(super) target: &'static str,
    pub(super) module: Option<&'static str>,
    pub(super) file: Option<&'static str>,
    pub(super) line: Option<u32>,
    pub(super) message: String,
    pub(super) fields: Fields,
}

impl Record {
    pub(super) fn new(event: &Event<'_>, time: Timestamp) -> Self {
        let metadata = event.metadata();
        let mut parts = Parts::default();
        event.record(&mut parts);
        Self {
            time,
            thread: thread_name(),
            level: *metadata.level(),
            target: metadata.target(),
            module: metadata.module_path(),
            file: metadata.file(),
            line: metadata.line(),
            message: parts.message,
            fields: Fields(parts.fields),
        }
    }
}

fn thread_name() -> String {
    let thread = thread::current();
    thread.name().map_or_else(|| format!("{:?}", thread.id()), ToOwned::to_owned)
}

/// The fields of an event besides its message, as text. Serialised as an object of strings.
#[derive(Debug)]
pub(super) struct Fields(pub(super) Vec<(&'static str, String)>);

impl Fields {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Parts {
    fn add(&mut self, field: &Field, value: String) {
        // A field that is a keyword of Rust is written `r#type` in the code.
        let name = field.name();
        match name.strip_prefix("r#").unwrap_or(name) {
            "message" => self.message = value,
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, with_causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}
