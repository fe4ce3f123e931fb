//! `/midslot/v1/aggregation/`: the aggregation worker.

pub(in crate::http) mod events;
pub(in crate::http) mod jobs;
pub(in crate::http) mod sign;
pub(in crate::http) mod status;
pub(in crate::http) mod tables;

use axum::{
    extract::{Path, rejection::PathRejection},
    response::Response,
};
use http::{HeaderMap, StatusCode};

use crate::{
    aggregation::{JobId, NoJob},
    http::reply::explain,
};

/// The job that a path names. A name that is none is no job.
fn job_id(path: Result<Path<String>, PathRejection>) -> Result<JobId, NoJob> {
    let Path(name) = path.map_err(|_| NoJob::Unknown)?;
    name.parse().map_err(|_| NoJob::Unknown)
}

fn no_job(error: NoJob, headers: &HeaderMap) -> Response {
    let status = match error {
        NoJob::Unknown => StatusCode::NOT_FOUND,
        NoJob::Evicted(_) => StatusCode::GONE,
    };
    explain(status, headers, &error.to_string())
}
