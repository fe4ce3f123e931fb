//! The address of a PostgreSQL database, in the spellings of libpq and of JDBC.
//!
//! Invariant: neither `Display` nor `Debug` nor any error shows a user name, a password or a
//! parameter.

use std::{fmt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::DatabaseUrlError;
use crate::{
    choice::{Choice, choices},
    config::Secret,
};

const DEFAULT_PORT: u16 = 5432;

choices! {
    /// How much of TLS a connection needs, in libpq's words.
    TlsMode {
        /// None.
        Disable = "disable",
        /// Only where the server insists.
        Allow = "allow",
        /// Where the server can.
        Prefer = "prefer",
        /// Encrypted; the server's certificate is checked only against a given root.
        Require = "require",
        /// With a certificate of a trusted authority.
        VerifyCa = "verify-ca",
        /// With a certificate of a trusted authority for this host.
        VerifyFull = "verify-full",
    }
}

/// A parsed `postgresql://` or `jdbc:postgresql://` address.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// A name or address, or the folder of a Unix socket.
    host: String,
    port: u16,
    database: Option<String>,
    username: Option<String>,
    password: Option<Secret>,
    tls: TlsMode,
    root_certificate: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    schema: Option<String>,
    settings: Vec<(String, String)>,
    application_name: Option<String>,
    ignored: Vec<String>,
}

impl PostgresUrl {
    /// Parses what follows `postgresql://`.
    pub(super) fn parse(rest: &str) -> Result<Self, DatabaseUrlError> {
        let (address, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may itself contain '@' or '/', so the last '@' counts.
        let (credentials, place) = match address.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, address),
        };
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = host_and_port(authority)?;
        let mut url = Self {
            host: decoded(host)?,
            port,
            database: non_empty(decoded(database)?),
            username: None,
            password: None,
            tls: TlsMode::Prefer,
            root_certificate: None,
            client_certificate: None,
            client_key: None,
            schema: None,
            settings: Vec::new(),
            application_name: None,
            ignored: Vec::new(),
        };
        if let Some(credentials) = credentials {
            let (username, password) = match credentials.split_once(':') {
                Some((username, password)) => (username, Some(password)),
                None => (credentials, None),
            };
            url.username = non_empty(decoded(username)?);
            url.password = password.map(decoded).transpose()?.map(Secret::new);
        }
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            url.set(&decoded(name)?, decoded(value)?)?;
        }
        if url.host.is_empty() { Err(DatabaseUrlError::NoHost) } else { Ok(url) }
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), DatabaseUrlError> {
        match name {
            "user" => self.username = non_empty(value),
            "password" => self.password = Some(Secret::new(value)),
            "host" => self.host = value,
            "port" => self.port = value.parse().map_err(|_| DatabaseUrlError::BadPort)?,
            "dbname" => self.database = non_empty(value),
            "sslmode" | "ssl-mode" => {
                self.tls = TlsMode::from_name(&value).ok_or(DatabaseUrlError::UnknownTlsMode)?;
            }
            // JDBC: `ssl` and `ssl=true` are verify-full, unless sslmode says otherwise.
            "ssl" if value.is_empty() || value.eq_ignore_ascii_case("true") => {
                if self.tls == TlsMode::Prefer {
                    self.tls = TlsMode::VerifyFull;
                }
            }
            "ssl" => {}
            "sslrootcert" | "ssl-root-cert" => self.root_certificate = Some(value.into()),
            "sslcert" => self.client_certificate = Some(value.into()),
            "sslkey" => self.client_key = Some(value.into()),
            "currentSchema" => self.schema = non_empty(value),
            "options" => self.settings.extend(settings(&value)?),
            "ApplicationName" | "application_name" => self.application_name = non_empty(value),
            _ => self.ignored.push(name.to_owned()),
        }
        Ok(())
    }

    /// The same database with another user or password, where one is given.
    #[must_use]
    pub fn with_credentials(mut self, username: Option<&str>, password: Option<&Secret>) -> Self {
        if let Some(username) = username {
            self.username = Some(username.to_owned());
        }
        if let Some(password) = password {
            self.password = Some(password.clone());
        }
        self
    }

    /// Names of parameters that mean nothing here.
    pub fn ignored_parameters(&self) -> &[String] {
        &self.ignored
    }

    /// The schemas that tables are looked for in, as JDBC's `currentSchema` gives them.
    pub(super) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// What the driver needs to connect.
    pub(super) fn connect_options(&self) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .port(self.port)
            .application_name(self.application_name.as_deref().unwrap_or("midslot"))
            .ssl_mode(match self.tls {
                TlsMode::Disable => PgSslMode::Disable,
                TlsMode::Allow => PgSslMode::Allow,
                TlsMode::Prefer => PgSslMode::Prefer,
                TlsMode::Require => PgSslMode::Require,
                TlsMode::VerifyCa => PgSslMode::VerifyCa,
                TlsMode::VerifyFull => PgSslMode::VerifyFull,
            });
        options = if self.host.starts_with('/') {
            options.socket(&self.host)
        } else {
            options.host(&self.host)
        };
        if !self.settings.is_empty() {
            options = options.options(self.settings.iter().map(|(name, value)| (name, value)));
        }
        if let Some(database) = &self.database {
            options = options.database(database);
        }
        if let Some(username) = &self.username {
            options = options.username(username);
        }
        if let Some(password) = &self.password {
            options = options.password(password.expose());
        }
        if let Some(file) = &self.root_certificate {
            options = options.ssl_root_cert(file);
        }
        if let Some(file) = &self.client_certificate {
            options = options.ssl_client_cert(file);
        }
        if let Some(file) = &self.client_key {
            options = options.ssl_client_key(file);
        }
        options
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.database.as_deref().unwrap_or_default();
        if self.host.contains(':') {
            write!(formatter, "postgresql://[{}]:{}/{database}", self.host, self.port)
        } else {
            write!(formatter, "postgresql://{}:{}/{database}", self.host, self.port)
        }
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for PostgresUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let rest = ["jdbc:postgresql://", "postgresql://", "postgres://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(DatabaseUrlError::UnknownScheme)?;
        Self::parse(rest)
    }
}

fn host_and_port(authority: &str) -> Result<(&str, u16), DatabaseUrlError> {
    if authority.contains(',') {
        return Err(DatabaseUrlError::SeveralHosts);
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, ""),
        Some((host, port)) => (host, port.strip_prefix(':').ok_or(DatabaseUrlError::BadPort)?),
        None => authority.rsplit_once(':').unwrap_or((authority, "")),
    };
    let port = match port {
        "" => DEFAULT_PORT,
        port => port.parse().map_err(|_| DatabaseUrlError::BadPort)?,
    };
    Ok((host, port))
}

/// The settings in libpq's `options`: `-c name=value` or `--name=value`, separated by blanks.
fn settings(options: &str) -> Result<Vec<(String, String)>, DatabaseUrlError> {
    let mut words = options.split_whitespace();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            setting => setting,
        };
        let pair = setting.and_then(|setting| setting.split_once('='));
        let (name, value) = pair.ok_or(DatabaseUrlError::BadOptions)?;
        settings.push((name.to_owned(), value.to_owned()));
    }
    Ok(settings)
}

fn decoded(text: &str) -> Result<String, DatabaseUrlError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| DatabaseUrlError::BadEncoding)
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> PostgresUrl {
        text.parse().unwrap()
    }

    #[test]
    fn every_spelling_is_understood() {
        for text in [
            "jdbc:postgresql://db.example:5433/signer?user=ada&password=p%40ss%26",
            "postgres://ada:p%40ss%26@db.example:5433/signer",
            "postgresql://ada:p@ss&@db.example:5433/signer",
            "postgresql://db.example/signer?port=5433&user=ada&password=p%40ss%26",
        ] {
            let url = url(text);
            let options = url.connect_options();
            assert_eq!(options.get_host(), "db.example", "{text}");
            assert_eq!(options.get_port(), 5433, "{text}");
            assert_eq!(options.get_database(), Some("signer"), "{text}");
            assert_eq!(options.get_username(), "ada", "{text}");
            assert_eq!(url.password.as_ref().map(Secret::expose), Some("p@ss&"), "{text}");
            assert_eq!(url.to_string(), "postgresql://db.example:5433/signer");
            assert_eq!(format!("{url:?}"), url.to_string());
        }
    }

    #[test]
    fn options_beside_the_address_come_before_those_in_it() {
        let secret = Secret::new("new");
        let url = url("postgres://ada:old@h/db").with_credentials(Some("eve"), Some(&secret));
        assert_eq!(url.connect_options().get_username(), "eve");
        assert_eq!(url.password, Some(secret));
    }

    #[test]
    fn tls_schema_and_settings() {
        let mode = |text: &str| url(text).tls;
        assert_eq!(mode("postgres://h/db"), TlsMode::Prefer);
        assert_eq!(mode("postgres://h/db?ssl=true"), TlsMode::VerifyFull);
        assert_eq!(mode("postgres://h/db?ssl=false"), TlsMode::Prefer);
        assert_eq!(mode("postgres://h/db?sslmode=require&ssl=true"), TlsMode::Require);
        let url = url("jdbc:postgresql://h/db?currentSchema=signing&sslrootcert=/a/ca.pem\
             &options=-c%20work_mem=8MB%20--geqo=off&reWriteBatchedInserts=true");
        assert_eq!(url.schema(), Some("signing"));
        assert_eq!(url.root_certificate, Some("/a/ca.pem".into()));
        assert_eq!(url.connect_options().get_options(), Some("-c work_mem=8MB -c geqo=off"));
        assert_eq!(url.ignored_parameters(), ["reWriteBatchedInserts"]);
    }

    #[test]
    fn ipv6_sockets_and_defaults() {
        assert_eq!(url("postgres://[::1]:6/db").to_string(), "postgresql://[::1]:6/db");
        assert_eq!(url("postgres://h").connect_options().get_port(), 5432);
        for text in ["postgres:///db?host=/run/pg", "postgres://%2Frun%2Fpg/db"] {
            let options = url(text).connect_options();
            assert_eq!(options.get_socket().unwrap().to_str(), Some("/run/pg"), "{text}");
        }
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for (text, error) in [
            ("postgres://", DatabaseUrlError::NoHost),
            ("postgres:///db", DatabaseUrlError::NoHost),
            ("jdbc:postgresql://a,b/db", DatabaseUrlError::SeveralHosts),
            ("postgres://h:x/db", DatabaseUrlError::BadPort),
            ("postgres://h:70000/db", DatabaseUrlError::BadPort),
            ("postgres://h/db?port=", DatabaseUrlError::BadPort),
            ("postgres://h/db?sslmode=maybe", DatabaseUrlError::UnknownTlsMode),
            ("postgres://h/db?options=x", DatabaseUrlError::BadOptions),
            ("postgres://h/%ff", DatabaseUrlError::BadEncoding),
        ] {
            assert_eq!(text.parse::<PostgresUrl>(), Err(error), "{text}");
        }
    }
}
