//! `Web3Signer`'s key configuration files: the YAML files of `--key-config-path`.
//!
//! Every document of a file defines one key. The fields are read as text and looked at by hand:
//! a decoder that chooses by `type` would take an unquoted `0x1234` for a number.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::Spanned;
use zeroize::Zeroizing;

use super::{KeyMaterial, KeySource, LoadFailure, SourceId, Watched, YamlProblem, files};
use crate::keys::keystore::{Keystore, Password};

/// A folder whose files `*.yaml` and `*.yml` define keys.
pub struct ConfigFiles {
    /// The folder. Only its direct children count, and hidden files do not. Relative paths in the
    /// files start here.
    pub directory: PathBuf,
    /// Bound on the size of one file, in bytes (`--key-store-config-file-max-size`).
    pub max_file_size_bytes: u64,
}

impl ConfigFiles {
    /// `Web3Signer`'s bound on the size of one file: 100 MiB.
    pub const DEFAULT_MAX_FILE_SIZE_BYTES: u64 = 104_857_600;
}

impl KeySource for ConfigFiles {
    fn id(&self) -> SourceId {
        SourceId::ConfigFiles
    }

    fn directory(&self) -> &Path {
        &self.directory
    }

    fn list(&self) -> Result<Vec<PathBuf>, LoadFailure> {
        let mut paths = files::children(&self.directory, &["yaml", "yml"])?;
        paths.retain(|path| {
            path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
        });
        Ok(paths)
    }

    fn read(
        &self,
        file: &Path,
        watched: &mut Vec<Watched>,
    ) -> Result<Vec<KeyMaterial>, LoadFailure> {
        let content = files::read(file, self.max_file_size_bytes, watched)?;
        let definitions = parse(files::text(file, &content)?)?;
        if definitions.is_empty() {
            tracing::warn!(file = %file.display(), "this key configuration file defines no key");
        }
        let mut materials = Vec::new();
        for definition in definitions {
            match definition {
                Definition::Raw { line, secret } => {
                    materials.push(KeyMaterial::Raw { secret, line });
                }
                Definition::Keystore { keystore_file, password_file } => {
                    let keystore_file = self.directory.join(keystore_file);
                    let password_file = self.directory.join(password_file);
                    materials.push(read_keystore(keystore_file, password_file, watched)?);
                }
                Definition::Skipped { line, reason } => {
                    tracing::debug!(file = %file.display(), line, reason, "skipped a key definition");
                }
            }
        }
        Ok(materials)
    }
}

fn read_keystore(
    path: PathBuf,
    password_file: PathBuf,
    watched: &mut Vec<Watched>,
) -> Result<KeyMaterial, LoadFailure> {
    let json = files::read(&path, files::MAX_KEYSTORE_BYTES, watched)?;
    let keystore = match Keystore::parse(&json) {
        Ok(keystore) => Box::new(keystore),
        Err(source) => {
            return Err(LoadFailure::Keystore { path, source: Box::new(source) });
        }
    };
    let content = files::read(&password_file, files::MAX_PASSWORD_BYTES, watched)?;
    let first_line = files::text(&password_file, &content)?.split(['\n', '\r']).next();
    match first_line {
        Some(line) if !line.trim().is_empty() => {
            let password = Password::new(line);
            Ok(KeyMaterial::Keystore { path, keystore, password_file, password })
        }
        _ => Err(LoadFailure::BlankPassword { path: password_file }),
    }
}

/// What one YAML document asks for.
enum Definition {
    Raw {
        line: u64,
        secret: Zeroizing<[u8; 32]>,
    },
    Keystore {
        keystore_file: PathBuf,
        password_file: PathBuf,
    },
    /// A key of a kind that `Web3Signer` also leaves out when it serves validators.
    Skipped {
        line: u64,
        reason: &'static str,
    },
}

/// One YAML document. Fields that are not listed are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    r#type: Option<String>,
    key_type: Option<String>,
    private_key: Option<SecretText>,
    keystore_file: Option<String>,
    keystore_password_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(from = "String")]
struct SecretText(Zeroizing<String>);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// Reads all documents of a file. Empty documents define nothing.
fn parse(yaml: &str) -> Result<Vec<Definition>, LoadFailure> {
    // The size of the file is bounded already, and a file may well have thousands of documents:
    // what remains to be bounded is nesting and the expansion of aliases.
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_documents: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
    };
    let documents: Vec<Spanned<Fields>> = serde_saphyr::from_multiple_with_options(yaml, options)
        .map_err(|error| describe(&error))?;
    documents
        .into_iter()
        .map(|document| define(document.referenced.line(), document.value))
        .collect()
}

fn define(line: u64, fields: Fields) -> Result<Definition, LoadFailure> {
    let missing = |field| LoadFailure::MissingField { line, field };
    let invalid = |field, expected| LoadFailure::InvalidField { line, field, expected };
    let type_name = fields.r#type.ok_or_else(|| missing("type"))?;
    let unavailable = match type_name.as_str() {
        "azure-key" | "aws-kms" => {
            return Ok(Definition::Skipped { line, reason: "its type has SECP256K1 keys only" });
        }
        "file-raw" | "file-keystore" => None,
        "hashicorp" => Some("hashicorp"),
        "aws-secret" => Some("aws-secret"),
        "azure-secret" => Some("azure-secret"),
        _ => {
            return Err(invalid(
                "type",
                "one of file-raw, file-keystore, hashicorp, aws-secret, azure-secret, azure-key, \
                 aws-kms (in lower case)",
            ));
        }
    };
    match fields.key_type.as_deref() {
        None => {}
        Some(key_type) if key_type.eq_ignore_ascii_case("BLS") => {}
        Some(key_type) if key_type.eq_ignore_ascii_case("SECP256K1") => {
            return Ok(Definition::Skipped { line, reason: "it is a SECP256K1 key" });
        }
        Some(_) => return Err(invalid("keyType", "BLS or SECP256K1")),
    }
    if let Some(type_name) = unavailable {
        return Err(LoadFailure::UnavailableType { line, type_name });
    }
    if type_name == "file-raw" {
        let text = fields.private_key.ok_or_else(|| missing("privateKey"))?;
        let secret = decode_secret(&text.0).ok_or_else(|| {
            invalid("privateKey", "hexadecimal text of 1 to 32 bytes, two digits for each")
        })?;
        return Ok(Definition::Raw { line, secret });
    }
    Ok(Definition::Keystore {
        keystore_file: fields.keystore_file.ok_or_else(|| missing("keystoreFile"))?.into(),
        password_file: fields
            .keystore_password_file
            .ok_or_else(|| missing("keystorePasswordFile"))?
            .into(),
    })
}

/// Hexadecimal text, with or without `0x`; fewer than 32 bytes are filled up with zeros on the
/// left, as `Web3Signer` does.
fn decode_secret(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // A second prefix would be stripped by the decoder.
    if digits.is_empty()
        || digits.len() > 64
        || !digits.len().is_multiple_of(2)
        || digits.starts_with("0x")
    {
        return None;
    }
    let mut secret = Zeroizing::new([0; 32]);
    const_hex::decode_to_slice(digits, &mut secret[32 - digits.len() / 2..]).ok()?;
    Some(secret)
}

/// Place and kind of a parser's error. Its own text is dropped, because it can repeat values.
fn describe(error: &serde_saphyr::Error) -> LoadFailure {
    use serde_saphyr::Error;
    let location = error.location();
    let problem = match error.without_snippet() {
        Error::ExternalMessage { .. } | Error::ContainerEndMismatch { .. } => YamlProblem::Syntax,
        Error::Eof { .. } => YamlProblem::UnexpectedEnd,
        Error::DuplicateMappingKey { .. } => YamlProblem::DuplicateField,
        Error::UnknownAnchor { .. } => YamlProblem::UnknownAnchor,
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => YamlProblem::TooComplex,
        _ => YamlProblem::Structure,
    };
    LoadFailure::Yaml {
        line: location.map_or(0, |location| location.line()),
        column: location.map_or(0, |location| location.column()),
        problem,
    }
}

#[cfg(test)]
mod tests;
