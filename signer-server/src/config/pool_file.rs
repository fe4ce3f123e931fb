//! The properties file of `Web3Signer`'s connection pool, as far as it means something here.
//!
//! There is no pool: a few connections are opened at the start and kept. So the file's size of the
//! pool bounds their number and its time to wait for one is the time to connect; everything else
//! is answered with a warning that names the property and never its value.

use std::{path::Path, time::Duration};

/// Connections beside those that record attestations.
const OTHER_CONNECTIONS: u64 = 2;

/// More writers than this gain nothing.
const MOST_WRITERS: u64 = 8;

/// What a pool file asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PoolFile {
    /// Connections that record attestations.
    pub(super) attestation_connections: Option<usize>,
    /// Longest time to connect.
    pub(super) connect_timeout: Option<Duration>,
    /// Names of properties without effect.
    pub(super) ignored: Vec<String>,
}

impl PoolFile {
    /// Reads a file. Errors say the file and the property.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("can't read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|property| {
            format!("{} in {} needs a whole number above 0", property, path.display())
        })
    }

    /// Parses Java's properties; an error is the name of a property that is no number.
    fn parse(text: &str) -> Result<Self, String> {
        let mut file = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let end = line.find(['=', ':', ' ', '\t']).unwrap_or(line.len());
            let (name, rest) = line.split_at(end);
            let value = rest.trim_start_matches([' ', '\t']).trim_start_matches(['=', ':']).trim();
            let number = || match value.parse::<u64>() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(name.to_owned()),
            };
            match name {
                "maximumPoolSize" => {
                    let writers = number()?.saturating_sub(OTHER_CONNECTIONS);
                    let writers = writers.clamp(1, MOST_WRITERS);
                    file.attestation_connections = usize::try_from(writers).ok();
                }
                "connectionTimeout" => {
                    file.connect_timeout = Some(Duration::from_millis(number()?));
                }
                _ => file.ignored.push(name.to_owned()),
            }
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_properties_that_mean_something() {
        let text = "# pool\n\nmaximumPoolSize=6\nconnectionTimeout : 1500\nminimumIdle 2\n\
                    dataSource.password=hunter2\n";
        let expected = PoolFile {
            attestation_connections: Some(4),
            connect_timeout: Some(Duration::from_millis(1500)),
            ignored: vec!["minimumIdle".to_owned(), "dataSource.password".to_owned()],
        };
        assert_eq!(PoolFile::parse(text), Ok(expected));
    }

    #[test]
    fn sizes_are_bounded_and_nonsense_is_named() {
        for (size, writers) in [(1, 1), (2, 1), (3, 1), (4, 2), (10, 8), (1000, 8)] {
            let file = PoolFile::parse(&format!("maximumPoolSize={size}")).unwrap();
            assert_eq!(file.attestation_connections, Some(writers), "{size}");
        }
        for text in ["maximumPoolSize=many", "maximumPoolSize=0", "maximumPoolSize"] {
            assert_eq!(PoolFile::parse(text), Err("maximumPoolSize".to_owned()), "{text}");
        }
    }
}
