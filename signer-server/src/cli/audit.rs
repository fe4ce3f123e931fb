//! `signer-server audit`: who asked which key to sign what, newest first.
//!
//! Reads the database of a stopped signer, or asks a running one over HTTP. Rows are read and
//! printed page by page, so that any number of them takes the memory of one page.

mod format;
mod remote;
mod row;

use std::{
    io::{self, Write},
    path::PathBuf,
};

pub use self::remote::RemoteError;
use self::{format::Printer, remote::RunningSigner, row::Row};
use crate::{
    audit::{Filter, MAX_PAGE},
    config::AuditQuery,
    slashing::{AuditReader, DatabaseUrl, OpenError, StoreError},
};

/// Why the audit can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A signer has the database.
    #[error(
        "a signer is running on {}. Ask it: --url http://127.0.0.1:9000 (its address; it must have \
         been started with --audit-api-enabled=true), or stop it first",
        database.display()
    )]
    SignerRuns {
        /// The database file.
        database: PathBuf,
    },
    /// The database can't be opened.
    #[error(transparent)]
    Open(OpenError),
    /// The database can't be read.
    #[error("the audit can't be read: {0}")]
    Read(#[from] StoreError),
    /// The running signer gives no answer, or not the right one.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A row is not of the form that it must have.
    #[error("an audit row can't be understood: {0}")]
    Row(#[from] serde_json::Error),
    /// Neither a database nor a running signer is named.
    #[error("neither --data-path nor --url names where the audit is")]
    NoSource,
    /// The output can't be written.
    #[error("the output can't be written: {0}")]
    Output(#[from] io::Error),
}

/// Where rows come from.
enum Source {
    Database(Box<AuditReader>),
    Signer(RunningSigner),
}

/// A page with the cursor of the next.
struct Rows {
    rows: Vec<Row>,
    next_before_id: Option<i64>,
}

impl Source {
    async fn open(query: &AuditQuery, database: Option<&DatabaseUrl>) -> Result<Self, AuditError> {
        if let Some(url) = &query.url {
            return Ok(Self::Signer(RunningSigner::at(url)?));
        }
        match AuditReader::open(database.ok_or(AuditError::NoSource)?).await {
            Ok(reader) => Ok(Self::Database(Box::new(reader))),
            Err(OpenError::AlreadyRunning { database, .. }) => {
                Err(AuditError::SignerRuns { database })
            }
            Err(error) => Err(AuditError::Open(error)),
        }
    }

    async fn read(&mut self, filter: &Filter) -> Result<Rows, AuditError> {
        match self {
            Self::Database(reader) => {
                let page = reader.read(filter).await?;
                let rows = page.entries.iter().map(Row::of).collect::<Result<_, _>>()?;
                Ok(Rows { rows, next_before_id: page.next_before_id })
            }
            Self::Signer(signer) => Ok(signer.read(filter).await?),
        }
    }
}

/// Prints what the query asks for. A reader that closes the pipe has seen enough: that is no error.
///
/// # Errors
/// When rows can't be read or printed; those before were printed.
pub async fn run(
    query: &AuditQuery,
    database: Option<&DatabaseUrl>,
    output: impl Write,
) -> Result<(), AuditError> {
    match print(query, database, io::BufWriter::new(output)).await {
        Err(AuditError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

async fn print(
    query: &AuditQuery,
    database: Option<&DatabaseUrl>,
    mut output: impl Write,
) -> Result<(), AuditError> {
    let mut source = Source::open(query, database).await?;
    let printer = Printer(query.format);
    let mut filter = query.filter.clone();
    let mut wanted = query.max_rows.unwrap_or(u64::MAX);
    let mut has_begun = false;
    while wanted > 0 {
        filter.limit = usize::try_from(wanted).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let page = source.read(&filter).await?;
        // Not before: where nothing can be read, nothing but the error is printed.
        if !has_begun {
            printer.begin(&mut output)?;
            has_begun = true;
        }
        for row in &page.rows {
            printer.row(row, &mut output)?;
        }
        output.flush()?;
        wanted = wanted.saturating_sub(page.rows.len() as u64);
        match page.next_before_id {
            // Against a server that would send the same page for ever.
            Some(next) if filter.before_id.is_none_or(|before| next < before) => {
                filter.before_id = Some(next);
            }
            _ => break,
        }
    }
    Ok(output.flush()?)
}
