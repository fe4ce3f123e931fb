//! The values of all options after the layers are merged, read as what they must be.
//!
//! Invariant: [`Values::merge`] checks every value that any layer gives, also of options that
//! nothing reads.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    error::{Origin, ParameterError},
    option::{Kind, OptionSpec, Scope},
    options,
};
use crate::choice::Choice;

/// The texts given for one option by one layer, and by which. They may be passwords, so neither
/// this nor what holds it can be printed for debugging.
#[derive(Clone)]
pub(super) struct Given {
    /// More than one only for options that can be repeated; never empty.
    pub(super) texts: Vec<String>,
    /// Where they were given.
    pub(super) origin: Origin,
}

/// What one layer gives, by scope and preferred name.
#[derive(Default)]
pub(super) struct Layer(BTreeMap<(Scope, &'static str), Given>);

impl Layer {
    pub(super) fn get(&self, spec: &OptionSpec) -> Option<&Given> {
        self.0.get(&(spec.scope, spec.name()))
    }

    /// Adds an option. Giving it again, under another name, must give the same.
    pub(super) fn insert(&mut self, spec: &OptionSpec, given: Given) -> Result<(), ParameterError> {
        match self.get(spec) {
            Some(first) if first.texts != given.texts => Err(ParameterError::Ambiguous {
                option: spec.dashed_name(),
                first: first.origin.clone(),
                second: given.origin,
            }),
            Some(_) => Ok(()),
            None => {
                self.0.insert((spec.scope, spec.name()), given);
                Ok(())
            }
        }
    }
}

/// The merged values.
pub(super) struct Values(Layer);

impl Values {
    /// Takes each option of a command from the first layer that gives it, and checks its form.
    pub(super) fn merge(scope: Scope, layers: &[&Layer]) -> Result<Self, ParameterError> {
        let mut merged = Layer::default();
        for spec in scope.with_parents().flat_map(options::of) {
            if let Some(given) = layers.iter().find_map(|layer| layer.get(spec)) {
                merged.insert(spec, given.clone())?;
            }
        }
        let values = Self(merged);
        for spec in scope.with_parents().flat_map(options::of) {
            values.check(spec)?;
        }
        Ok(values)
    }

    /// Where the option was given; `None` when it has its default.
    pub(super) fn origin(&self, spec: &OptionSpec) -> Option<&Origin> {
        self.0.get(spec).map(|given| &given.origin)
    }

    /// An error about the option's value.
    pub(super) fn invalid(&self, spec: &OptionSpec, reason: impl Into<String>) -> ParameterError {
        ParameterError::Invalid {
            option: spec.dashed_name(),
            origin: self.origin(spec).cloned().unwrap_or(Origin::Default),
            reason: reason.into(),
        }
    }

    /// The value as text.
    pub(super) fn text(&self, spec: &OptionSpec) -> Option<&str> {
        match self.0.get(spec) {
            Some(given) => given.texts.first().map(String::as_str),
            None => spec.default,
        }
    }

    /// The value as text that may not be empty, of an option with a default.
    pub(super) fn non_empty_text(&self, spec: &OptionSpec) -> Result<String, ParameterError> {
        match self.text(spec) {
            Some("") => Err(self.invalid(spec, "expected a text, found nothing")),
            Some(text) => Ok(text.to_owned()),
            None => Err(missing(spec)),
        }
    }

    /// The value as a boolean; an option without a default is false.
    pub(super) fn boolean(&self, spec: &OptionSpec) -> Result<bool, ParameterError> {
        match self.text(spec) {
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(self.unexpected(spec, "true or false", text)),
            None => Ok(false),
        }
    }

    /// The value as an integer, when there is one.
    pub(super) fn optional_integer<T: TryFrom<u64>>(
        &self,
        spec: &OptionSpec,
    ) -> Result<Option<T>, ParameterError> {
        let Some(text) = self.text(spec) else { return Ok(None) };
        let (min, max) = match spec.kind {
            Kind::Integer { min, max } => (min, max),
            _ => (0, u64::MAX),
        };
        // `u64::from_str` would take a leading plus sign.
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>());
        match number {
            Some(Ok(number)) if (min..=max).contains(&number) => {
                if let Ok(converted) = T::try_from(number) {
                    return Ok(Some(converted));
                }
            }
            _ => {}
        }
        Err(self.unexpected(spec, &format!("an integer from {min} to {max}"), text))
    }

    /// The value as an integer, of an option with a default.
    pub(super) fn integer<T: TryFrom<u64>>(&self, spec: &OptionSpec) -> Result<T, ParameterError> {
        self.optional_integer(spec)?.ok_or_else(|| missing(spec))
    }

    /// The value as a path, when there is one.
    pub(super) fn optional_path(
        &self,
        spec: &OptionSpec,
    ) -> Result<Option<PathBuf>, ParameterError> {
        match self.text(spec) {
            Some("") => Err(self.invalid(spec, "expected a path, found nothing")),
            text => Ok(text.map(PathBuf::from)),
        }
    }

    /// The value as a path, of an option that has a default or must be given.
    pub(super) fn path(&self, spec: &OptionSpec) -> Result<PathBuf, ParameterError> {
        self.optional_path(spec)?.ok_or_else(|| missing(spec))
    }

    /// The value as one of some names, of an option with a default.
    pub(super) fn choice<T: Choice>(&self, spec: &OptionSpec) -> Result<T, ParameterError> {
        let text = self.text(spec).ok_or_else(|| missing(spec))?;
        T::from_name(text).ok_or_else(|| self.not_a_choice(spec, text))
    }

    /// The value as some of some names.
    pub(super) fn choices<T: Choice>(&self, spec: &OptionSpec) -> Result<Vec<T>, ParameterError> {
        self.list(spec)?
            .iter()
            .map(|text| T::from_name(text).ok_or_else(|| self.not_a_choice(spec, text)))
            .collect()
    }

    /// The entries of a list, without the white space around them.
    pub(super) fn list(&self, spec: &OptionSpec) -> Result<Vec<String>, ParameterError> {
        let entries: Vec<String> = self
            .texts(spec)
            .flat_map(|text| text.split(','))
            .map(|entry| entry.trim().to_owned())
            .collect();
        if entries.iter().any(String::is_empty) {
            return Err(self.invalid(spec, "expected texts joined by commas, found an empty one"));
        }
        Ok(entries)
    }

    /// The pairs of a map.
    pub(super) fn map(&self, spec: &OptionSpec) -> Result<Vec<(String, String)>, ParameterError> {
        self.texts(spec)
            .flat_map(|text| text.split('|'))
            .map(|pair| match pair.split_once('=') {
                Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
                _ => Err(self.unexpected(spec, "key=value pairs joined by |", pair)),
            })
            .collect()
    }

    fn texts(&self, spec: &OptionSpec) -> impl Iterator<Item = &str> {
        let given = self.0.get(spec);
        let default = if given.is_none() { spec.default } else { None };
        given.into_iter().flat_map(|given| given.texts.iter().map(String::as_str)).chain(default)
    }

    /// Checks that a value has the form that its option's table entry asks for.
    fn check(&self, spec: &OptionSpec) -> Result<(), ParameterError> {
        match spec.kind {
            Kind::Flag | Kind::Boolean => self.boolean(spec).map(drop),
            Kind::Integer { .. } => self.optional_integer::<u64>(spec).map(drop),
            Kind::Choice(names) => match self.text(spec) {
                Some(text) if !contains_name(names, text) => Err(self.not_a_choice(spec, text)),
                _ => Ok(()),
            },
            Kind::Choices(names) => {
                match self.list(spec)?.iter().find(|text| !contains_name(names, text)) {
                    Some(text) => Err(self.not_a_choice(spec, text)),
                    None => Ok(()),
                }
            }
            Kind::Text => Ok(()),
            Kind::Path => self.optional_path(spec).map(drop),
            Kind::List => self.list(spec).map(drop),
            Kind::Map => self.map(spec).map(drop),
        }
    }

    fn not_a_choice(&self, spec: &OptionSpec, found: &str) -> ParameterError {
        let names = match spec.kind {
            Kind::Choice(names) | Kind::Choices(names) => names.join(", "),
            _ => String::new(),
        };
        self.unexpected(spec, &format!("one of {names}"), found)
    }

    fn unexpected(&self, spec: &OptionSpec, expected: &str, found: &str) -> ParameterError {
        let found = if spec.secret { "something else".to_owned() } else { format!("{found:?}") };
        self.invalid(spec, format!("expected {expected}, found {found}"))
    }
}

/// The error for an option that has neither a value nor a default.
fn missing(spec: &OptionSpec) -> ParameterError {
    ParameterError::Missing {
        option: spec.dashed_name(),
        reason: "this option must be given".to_owned(),
    }
}

fn contains_name(names: &[&str], text: &str) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(text))
}
