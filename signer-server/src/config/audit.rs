//! How the audit is kept, who may read it, and what the `audit` command shows of it.

use std::time::Duration;

use super::{
    error::ParameterError,
    option::OptionSpec,
    options::{
        own::{
            AUDIT_API_ENABLED, AUDIT_BULK_RETENTION_DAYS, AUDIT_DURABILITY, AUDIT_RETENTION_DAYS,
        },
        subcommands::{
            AUDIT_ALL, AUDIT_CLIENT, AUDIT_EPOCH, AUDIT_FORMAT, AUDIT_KEY, AUDIT_LIMIT,
            AUDIT_OUTCOME, AUDIT_SINCE, AUDIT_SLOT, AUDIT_TYPE, AUDIT_UNTIL, AUDIT_URL,
        },
    },
    values::Values,
};
use crate::{
    audit::{Durability, Filter, FilterText, MAX_PAGE, Retention},
    choice::choices,
    clock,
};

const SECONDS_PER_DAY: u64 = 86_400;

/// The audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// Whether `GET /midslot/v1/audit` is served.
    pub api_enabled: bool,
    /// What a signature waits for.
    pub durability: Durability,
    /// How long rows are kept.
    pub retention: Retention,
}

choices! {
    /// The form in which rows are printed.
    AuditFormat {
        /// Columns for people.
        Table = "table",
        /// One JSON object a line.
        Json = "json",
        /// RFC 4180, with a line of names.
        Csv = "csv",
    }
}

/// What the `audit` command shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// The running signer to ask; without one the database is read.
    pub url: Option<String>,
    /// Which rows; its limit is that of one page.
    pub filter: Filter,
    /// How many rows; `None` for all.
    pub max_rows: Option<u64>,
    /// In which form.
    pub format: AuditFormat,
}

impl AuditConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        Ok(Self {
            api_enabled: values.boolean(&AUDIT_API_ENABLED)?,
            durability: values.choice(&AUDIT_DURABILITY)?,
            retention: Retention {
                evidence: days(values, &AUDIT_RETENTION_DAYS)?,
                bulk: days(values, &AUDIT_BULK_RETENTION_DAYS)?,
            },
        })
    }

    /// Refuses to promise durable rows where there is no database.
    pub(super) fn check(&self, values: &Values, has_database: bool) -> Result<(), ParameterError> {
        if self.durability == Durability::Strict && !has_database {
            let reason = "there is no database for the audit; give --data-path";
            return Err(values.invalid(&AUDIT_DURABILITY, reason));
        }
        Ok(())
    }
}

/// A number of days, of which 0 means for ever.
fn days(values: &Values, spec: &OptionSpec) -> Result<Option<Duration>, ParameterError> {
    let days: u64 = values.integer(spec)?;
    Ok((days > 0).then(|| Duration::from_secs(days.saturating_mul(SECONDS_PER_DAY))))
}

impl AuditQuery {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        let text = |spec: &OptionSpec| values.text(spec).map(str::to_owned);
        let conditions = FilterText {
            key: text(&AUDIT_KEY),
            client: text(&AUDIT_CLIENT),
            duty_type: text(&AUDIT_TYPE),
            outcome: text(&AUDIT_OUTCOME),
            since: text(&AUDIT_SINCE),
            until: text(&AUDIT_UNTIL),
            slot: text(&AUDIT_SLOT),
            epoch: text(&AUDIT_EPOCH),
        };
        let filter = conditions.parse(clock::now_unix_micros()).map_err(|bad| {
            let conditions = [
                &AUDIT_KEY,
                &AUDIT_CLIENT,
                &AUDIT_TYPE,
                &AUDIT_OUTCOME,
                &AUDIT_SINCE,
                &AUDIT_UNTIL,
                &AUDIT_SLOT,
                &AUDIT_EPOCH,
            ];
            let spec = conditions.into_iter().find(|spec| spec.name() == bad.name);
            values.invalid(
                spec.unwrap_or(&AUDIT_KEY),
                format!("expected {}, found {:?}", bad.expected, bad.found),
            )
        })?;
        let all = values.boolean(&AUDIT_ALL)?;
        let limit = values.integer(&AUDIT_LIMIT)?;
        Ok(Self {
            url: text(&AUDIT_URL),
            filter: Filter { limit: MAX_PAGE, ..filter },
            max_rows: (!all).then_some(limit),
            format: values.choice(&AUDIT_FORMAT)?,
        })
    }
}
