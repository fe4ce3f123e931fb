//! What `eth2 migrate` was asked to do.

use std::fs;

use super::{
    error::ParameterError,
    option::{OptionSpec, Scope},
    options::migrate::{
        DRY_RUN, FORCE, FROM_PASSWORD, FROM_PASSWORD_FILE, FROM_USERNAME, POSTGRES_FROM,
        POSTGRES_TO, SQLITE_FROM, SQLITE_TO, TO_PASSWORD, TO_PASSWORD_FILE, TO_USERNAME, UNDO,
        WEB3SIGNER_PASSWORD, WEB3SIGNER_PASSWORD_FILE, WEB3SIGNER_URL, WEB3SIGNER_USERNAME,
    },
    secret::Secret,
    values::Values,
};
use crate::slashing::{DatabaseUrl, PostgresUrl};

/// A move of all records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Migration {
    /// From Web3Signer's database into the configured one, or back.
    Web3Signer {
        /// Web3Signer's database.
        url: Box<PostgresUrl>,
        /// What to do.
        action: Web3SignerAction,
    },
    /// From one of our databases to another.
    Relocate {
        /// The database with the records.
        from: DatabaseUrl,
        /// The database that gets them.
        to: DatabaseUrl,
    },
}

/// What to do about Web3Signer's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Web3SignerAction {
    /// Only look.
    DryRun,
    /// Move its records in.
    MoveIn,
    /// Let Web3Signer sign again.
    Undo {
        /// Also when it does not know everything that was signed.
        force: bool,
    },
}

impl Migration {
    /// Reads the options of the command of this scope, one of those after `eth2 migrate`.
    pub(super) fn from_values(scope: Scope, values: &Values) -> Result<Self, ParameterError> {
        Ok(match scope {
            Scope::SqliteToPostgres => Self::Relocate {
                from: DatabaseUrl::Sqlite(values.path(&SQLITE_FROM)?),
                to: DatabaseUrl::Postgres(postgres_url(
                    values,
                    &POSTGRES_TO,
                    [&TO_USERNAME, &TO_PASSWORD, &TO_PASSWORD_FILE],
                )?),
            },
            Scope::PostgresToSqlite => Self::Relocate {
                from: DatabaseUrl::Postgres(postgres_url(
                    values,
                    &POSTGRES_FROM,
                    [&FROM_USERNAME, &FROM_PASSWORD, &FROM_PASSWORD_FILE],
                )?),
                to: DatabaseUrl::Sqlite(values.path(&SQLITE_TO)?),
            },
            _ => Self::Web3Signer {
                url: postgres_url(
                    values,
                    &WEB3SIGNER_URL,
                    [&WEB3SIGNER_USERNAME, &WEB3SIGNER_PASSWORD, &WEB3SIGNER_PASSWORD_FILE],
                )?,
                action: action(values)?,
            },
        })
    }
}

fn action(values: &Values) -> Result<Web3SignerAction, ParameterError> {
    let (dry_run, undo) = (values.boolean(&DRY_RUN)?, values.boolean(&UNDO)?);
    let force = values.boolean(&FORCE)?;
    match (dry_run, undo) {
        (true, true) => Err(values.invalid(&DRY_RUN, "it can't be given together with --undo")),
        (_, false) if force => Err(values.invalid(&FORCE, "it only means something with --undo")),
        (true, false) => Ok(Web3SignerAction::DryRun),
        (false, false) => Ok(Web3SignerAction::MoveIn),
        (false, true) => Ok(Web3SignerAction::Undo { force }),
    }
}

/// The address in `spec` with the user, password or password file of the others.
fn postgres_url(
    values: &Values,
    spec: &OptionSpec,
    [username, password, password_file]: [&OptionSpec; 3],
) -> Result<Box<PostgresUrl>, ParameterError> {
    let text = values.non_empty_text(spec)?;
    let url: PostgresUrl = text.trim().parse().map_err(|error| match error {
        crate::slashing::DatabaseUrlError::UnknownScheme => values.invalid(
            spec,
            "expected jdbc:postgresql://<host>/<database> or postgresql://<host>/<database>",
        ),
        error => values.invalid(spec, error.to_string()),
    })?;
    let file = values.optional_path(password_file)?;
    let password = match (values.text(password), file) {
        (Some(_), Some(_)) => {
            let other = password.dashed_name();
            return Err(values.invalid(password_file, format!("{other} is given, too")));
        }
        (Some(password), None) => Some(Secret::new(password)),
        (None, Some(path)) => {
            let text = fs::read_to_string(&path).map_err(|error| {
                values.invalid(password_file, format!("can't read {}: {error}", path.display()))
            })?;
            Some(Secret::new(text.lines().next().unwrap_or_default()))
        }
        (None, None) => None,
    };
    Ok(Box::new(url.with_credentials(values.text(username), password.as_ref())))
}
