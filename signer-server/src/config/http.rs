//! Where signing requests are taken, and which of them.

use std::time::Duration;

use regex::Regex;

use super::{
    error::ParameterError,
    host_allow_list::{HostAllowList, Words, read_words},
    options::{
        eth2::SIGNING_EXT_ENABLED,
        own::HTTP_SERVER_TIMING_ENABLED,
        root::{
            ACCESS_LOGS_ENABLED, HTTP_CORS_ORIGINS, HTTP_HOST_ALLOWLIST, HTTP_LISTEN_HOST,
            HTTP_LISTEN_PORT, IDLE_CONNECTION_TIMEOUT,
        },
    },
    values::Values,
};

/// The signing interface.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Address or host name to listen on.
    pub host: String,
    /// Port to listen on; 0 takes any free one.
    pub port: u16,
    /// Hosts that a request may name.
    pub host_allow_list: HostAllowList,
    /// Origins that a browser's request may come from.
    pub cors_origins: CorsOrigins,
    /// A connection without traffic is closed after this time; `None` never closes it.
    pub idle_connection_timeout: Option<Duration>,
    /// Whether every request is logged.
    pub access_logs_enabled: bool,
    /// Whether the extension's sign endpoint is served.
    pub signing_extension_enabled: bool,
    /// Whether answers to signing requests say where the time went.
    pub server_timing_enabled: bool,
}

impl HttpConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        let idle_seconds: u64 = values.integer(&IDLE_CONNECTION_TIMEOUT)?;
        Ok(Self {
            host: values.non_empty_text(&HTTP_LISTEN_HOST)?,
            port: values.integer(&HTTP_LISTEN_PORT)?,
            host_allow_list: HostAllowList::from_values(values, &HTTP_HOST_ALLOWLIST)?,
            cors_origins: CorsOrigins::from_values(values)?,
            idle_connection_timeout: (idle_seconds > 0).then(|| Duration::from_secs(idle_seconds)),
            access_logs_enabled: values.boolean(&ACCESS_LOGS_ENABLED)?,
            signing_extension_enabled: values.boolean(&SIGNING_EXT_ENABLED)?,
            server_timing_enabled: values.boolean(&HTTP_SERVER_TIMING_ENABLED)?,
        })
    }
}

/// The origins that a request with an Origin header may come from.
#[derive(Clone, Debug)]
pub enum CorsOrigins {
    /// Any origin.
    Any,
    /// No origin: every request with an Origin header is refused.
    None,
    /// Origins that one of these matches from the first to the last character.
    Patterns(Vec<Regex>),
}

impl CorsOrigins {
    /// Whether a request from this origin is answered.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::None => false,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.is_match(origin)),
        }
    }

    fn from_values(values: &Values) -> Result<Self, ParameterError> {
        let entries = match read_words(values, &HTTP_CORS_ORIGINS)? {
            Words::Any => return Ok(Self::Any),
            Words::None => return Ok(Self::None),
            Words::Entries(entries) => entries,
        };
        let compile = |entry: &String| {
            // The entry alone must be well formed: `a)|(b` would become so by the added brackets.
            Regex::new(entry).and_then(|_| Regex::new(&format!(r"\A(?:{entry})\z"))).map_err(
                |error| {
                    let reason = match error {
                        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                        other => other.to_string(),
                    };
                    values.invalid(
                        &HTTP_CORS_ORIGINS,
                        format!("{entry:?} is not a regular expression: {reason}"),
                    )
                },
            )
        };
        entries.iter().map(compile).collect::<Result<_, _>>().map(Self::Patterns)
    }
}
