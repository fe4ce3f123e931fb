//! Why there is no signature, sorted by whose fault it is and what helps.

use std::{error::Error, sync::Arc, time::Duration};

/// Longest text of a signer that is kept in an error, in characters.
const MESSAGE_LIMIT: usize = 300;

/// Why there is no signature. Texts of the signer are cut and cleaned of control characters.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignError {
    /// The signer does not hold the key (404).
    #[error("the signer does not hold the key")]
    UnknownKey,
    /// Slashing protection refuses (412). Final: never ask for the same duty in another form.
    #[error("refused by slashing protection: {0}")]
    SlashingRefused(String),
    /// The signer does not serve this client (401, 403).
    #[error("the signer does not serve this client (status {status}): {message}")]
    Forbidden {
        /// HTTP status.
        status: u16,
        /// What the signer says.
        message: String,
    },
    /// The request is wrong (any other 4xx); the same request will not do better.
    #[error("the signer rejects the request (status {status}): {message}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// What the signer says.
        message: String,
    },
    /// The signer has too much to do (429, 503, or any 5xx with `Retry-After`).
    #[error("the signer is overloaded: {message}")]
    Overloaded {
        /// How long to wait, if the signer says so.
        retry_after: Option<Duration>,
        /// What the signer says.
        message: String,
    },
    /// The signer failed (any other 5xx).
    #[error("the signer failed (status {status}): {message}")]
    Failed {
        /// HTTP status.
        status: u16,
        /// What the signer says.
        message: String,
    },
    /// No connection, or it broke before the answer was complete.
    #[error("no connection to the signer")]
    Transport(#[source] Arc<dyn Error + Send + Sync>),
    /// The deadline passed before there was an answer.
    #[error("no signature before the deadline")]
    DeadlinePassed,
    /// The answer is not what the API prescribes; says what is wrong with it.
    #[error("the signer's answer can't be understood: {0}")]
    Malformed(&'static str),
}

impl SignError {
    /// Whether the same request may do better later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Overloaded { .. }
            | Self::Failed { .. }
            | Self::Transport(_)
            | Self::DeadlinePassed => true,
            Self::UnknownKey
            | Self::SlashingRefused(_)
            | Self::Forbidden { .. }
            | Self::Rejected { .. }
            | Self::Malformed(_) => false,
        }
    }

    /// What a status other than 200 means.
    pub(crate) fn from_status(status: u16, retry_after: Option<Duration>, text: &str) -> Self {
        let message = cleaned(text);
        match status {
            404 => Self::UnknownKey,
            412 => Self::SlashingRefused(message),
            401 | 403 => Self::Forbidden { status, message },
            429 | 503 => Self::Overloaded { retry_after, message },
            500.. if retry_after.is_some() => Self::Overloaded { retry_after, message },
            500.. => Self::Failed { status, message },
            _ => Self::Rejected { status, message },
        }
    }
}

/// One line of bounded length: the text goes into logs.
fn cleaned(text: &str) -> String {
    text.trim()
        .chars()
        .take(MESSAGE_LIMIT)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_error() {
        let error = |status| SignError::from_status(status, None, "why");
        assert!(matches!(error(404), SignError::UnknownKey));
        assert!(matches!(error(412), SignError::SlashingRefused(text) if text == "why"));
        for status in [401, 403] {
            assert!(matches!(error(status), SignError::Forbidden { .. }));
        }
        for status in [400, 405, 406, 409, 413, 302] {
            assert!(matches!(error(status), SignError::Rejected { .. }), "{status}");
        }
        for status in [429, 503] {
            assert!(matches!(error(status), SignError::Overloaded { retry_after: None, .. }));
        }
        for status in [500, 502, 504] {
            assert!(matches!(error(status), SignError::Failed { .. }), "{status}");
        }
        let second = Some(Duration::from_secs(1));
        let overloaded = SignError::from_status(500, second, "full");
        assert!(
            matches!(overloaded, SignError::Overloaded { retry_after, .. } if retry_after == second)
        );
    }

    #[test]
    fn only_what_may_get_better_is_transient() {
        for (status, transient) in
            [(400, false), (403, false), (404, false), (412, false), (500, true), (503, true)]
        {
            assert_eq!(SignError::from_status(status, None, "").is_transient(), transient);
        }
    }

    #[test]
    fn a_long_text_with_line_ends_becomes_one_short_line() {
        let text = format!("first\nsecond\u{1b}[31m{}", "x".repeat(5000));
        let SignError::Rejected { message, .. } = SignError::from_status(400, None, &text) else {
            panic!("another error");
        };
        assert!(message.starts_with("first second [31mxxx"));
        assert_eq!(message.chars().count(), MESSAGE_LIMIT);
    }
}
