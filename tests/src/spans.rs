//! Tracing spans as a test sees them.

use std::{collections::BTreeMap, fmt::Debug};

use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{layer::Context, registry::LookupSpan};

/// A span with what it says.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its name.
    pub name: &'static str,
    /// The name of the span that it is inside of.
    pub parent: Option<&'static str>,
    /// What it says, by name.
    pub fields: BTreeMap<&'static str, String>,
}

impl Seen {
    /// A span that has just begun.
    ///
    /// # Panics
    /// When the subscriber does not know it.
    pub fn new<S>(attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>) -> Self
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let span = context.span(id).expect("a span that has just begun");
        let parent = span.parent().map(|parent| parent.name());
        let mut seen = Self { name: span.name(), parent, ..Self::default() };
        attributes.record(&mut seen);
        seen
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}
