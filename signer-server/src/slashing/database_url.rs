//! Which database holds slashing protection and audit.

use std::{fmt, path::PathBuf, str::FromStr};

/// A parsed `--slashing-protection-db-url`.
///
/// Accepts Web3Signer's `jdbc:postgresql://...`, and `postgres://...`, `postgresql://...`,
/// `sqlite:path`, `sqlite://path` (so `sqlite:///path` is absolute).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// One SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(PostgresUrl),
}

/// Address of a PostgreSQL database. May contain a password: `Debug` and `Display` show host and
/// database only.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// `postgresql://` and the rest as given.
    url: String,
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
}

impl PostgresUrl {
    /// The whole URL, password included, in the form `postgresql://...`.
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// Host, port and database: what lies between the credentials and the parameters.
    fn harmless_part(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        // A password may itself contain '@' or '/', so everything up to the last '@' goes.
        rest.rsplit_once('@').map_or(rest, |(_, harmless)| harmless)
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "postgresql://{}", self.harmless_part())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
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
        let rest = ["jdbc:postgresql://", "postgresql://", "postgres://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(DatabaseUrlError::UnknownScheme)?;
        let url = PostgresUrl { url: format!("postgresql://{rest}") };
        match url.harmless_part() {
            "" => Err(DatabaseUrlError::NoHost),
            harmless if harmless.starts_with('/') => Err(DatabaseUrlError::NoHost),
            _ => Ok(Self::Postgres(url)),
        }
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
            let DatabaseUrl::Postgres(url) = url else { panic!("{text} is PostgreSQL") };
            assert_eq!(url.expose(), text.replace("jdbc:", "").replace("postgres:", "postgresql:"));
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
