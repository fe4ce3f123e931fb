//! Which database holds slashing protection and audit.

use std::{fmt, path::PathBuf, str::FromStr};

use super::PostgresUrl;

/// A parsed `--slashing-protection-db-url`.
///
/// Accepts Web3Signer's `jdbc:postgresql://...`, and `postgres://...`, `postgresql://...`,
/// `sqlite:path`, `sqlite://path` (so `sqlite:///path` is absolute).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// One SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Box<PostgresUrl>),
}

/// Why a text is no database URL. Never carries the text, which may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// It begins with none of the known schemes.
    #[error(
        "unknown kind of database: use sqlite:<path>, jdbc:postgresql://<host>/<database> or \
         postgresql://<host>/<database>"
    )]
    UnknownScheme,
    /// A SQLite database needs a file.
    #[error("sqlite: needs the path of a file; a database in memory would forget what was signed")]
    NoFile,
    /// SQLite's settings are fixed, because weaker ones are unsafe.
    #[error("sqlite: takes a path without parameters; found '?'")]
    SqliteParameters,
    /// A PostgreSQL URL without a host.
    #[error("the PostgreSQL URL names no host")]
    NoHost,
    /// Records belong on one primary server.
    #[error("the PostgreSQL URL names several hosts; name the primary server alone")]
    SeveralHosts,
    /// The port is no number up to 65535.
    #[error("the PostgreSQL URL has a port that is no number up to 65535")]
    BadPort,
    /// Percent signs that lead to no text.
    #[error("the PostgreSQL URL has a percent-encoded part that is no UTF-8 text")]
    BadEncoding,
    /// `sslmode` is none of libpq's.
    #[error(
        "the PostgreSQL URL has an unknown sslmode: use disable, allow, prefer, require, verify-ca \
         or verify-full"
    )]
    UnknownTlsMode,
    /// `options` can't be read.
    #[error("the PostgreSQL URL has options that are not of the form `-c name=value`")]
    BadOptions,
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Self::Postgres(url) => fmt::Display::fmt(url, formatter),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" | ":memory:" => Err(DatabaseUrlError::NoFile),
                _ if path.contains('?') => Err(DatabaseUrlError::SqliteParameters),
                _ => Ok(Self::Sqlite(PathBuf::from(path))),
            };
        }
        text.parse().map(|url| Self::Postgres(Box::new(url)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_paths() {
        for (text, path) in [
            ("sqlite:data/slashing.sqlite", "data/slashing.sqlite"),
            ("sqlite://data/slashing.sqlite", "data/slashing.sqlite"),
            ("sqlite:/var/lib/a.sqlite", "/var/lib/a.sqlite"),
            ("sqlite:///var/lib/a.sqlite", "/var/lib/a.sqlite"),
        ] {
            assert_eq!(text.parse(), Ok(DatabaseUrl::Sqlite(path.into())), "{text}");
        }
    }

    #[test]
    fn postgres_in_every_spelling_hides_its_secrets() {
        for text in [
            "jdbc:postgresql://user:se@cr/et@db.example:5432/signer?password=secret",
            "postgres://user:secret@db.example:5432/signer",
            "postgresql://db.example:5432/signer?user=a&password=secret#secret",
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), "postgresql://db.example:5432/signer");
            assert!(!format!("{url:?}").contains("ecret"), "{url:?}");
        }
    }

    #[test]
    fn bad_urls_are_refused() {
        for (text, error) in [
            ("", DatabaseUrlError::UnknownScheme),
            ("mysql://db/secret", DatabaseUrlError::UnknownScheme),
            ("jdbc:sqlite:a", DatabaseUrlError::UnknownScheme),
            ("sqlite:", DatabaseUrlError::NoFile),
            ("sqlite::memory:", DatabaseUrlError::NoFile),
            ("sqlite:a.db?mode=memory", DatabaseUrlError::SqliteParameters),
            ("postgres://", DatabaseUrlError::NoHost),
            ("postgres:///signer", DatabaseUrlError::NoHost),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(error), "{text}");
        }
    }
}
