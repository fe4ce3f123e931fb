//! Which values of the Host header are answered.

use super::{error::ParameterError, option::OptionSpec, values::Values};

/// The hosts that a request may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostAllowList {
    /// Any host, or none at all.
    Any,
    /// No host: every request is refused.
    None,
    /// These host names, without ports, in lower case.
    Names(Vec<String>),
}

impl HostAllowList {
    /// Whether a request for this host is answered. The host is given without its port; `None`
    /// when the request names none.
    pub fn allows(&self, host: Option<&str>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::None, _) | (Self::Names(_), None) => false,
            (Self::Names(names), Some(host)) => {
                names.iter().any(|name| name.eq_ignore_ascii_case(host))
            }
        }
    }

    pub(super) fn from_values(values: &Values, spec: &OptionSpec) -> Result<Self, ParameterError> {
        Ok(match read_words(values, spec)? {
            Words::Any => Self::Any,
            Words::None => Self::None,
            Words::Entries(entries) => {
                Self::Names(entries.iter().map(|entry| entry.to_ascii_lowercase()).collect())
            }
        })
    }
}

/// A list in which one word can stand for all or none.
pub(super) enum Words {
    /// `*` or `all`.
    Any,
    /// `none`.
    None,
    /// Neither.
    Entries(Vec<String>),
}

/// Reads a list in which `*`, `all` or `none` may stand, but only alone.
pub(super) fn read_words(values: &Values, spec: &OptionSpec) -> Result<Words, ParameterError> {
    let entries = values.list(spec)?;
    let is_any = |entry: &String| entry == "*" || entry.eq_ignore_ascii_case("all");
    let is_none = |entry: &String| entry.eq_ignore_ascii_case("none");
    if entries.iter().all(is_any) {
        return Ok(Words::Any);
    }
    if entries.iter().all(is_none) {
        return Ok(Words::None);
    }
    match entries.iter().find(|entry| is_any(entry) || is_none(entry)) {
        Some(word) => {
            Err(values.invalid(spec, format!("`{word}` must stand alone, not with other entries")))
        }
        None => Ok(Words::Entries(entries)),
    }
}
