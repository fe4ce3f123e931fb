//! The `Server-Timing` header (W3C, Server Timing): where the time of a signing request went.
//!
//! Off unless the operator wants it. `queue`, `db` and `bls` stand there when the request came that
//! far, the longest of all keys for a batch; `total` runs from the whole body's arrival to the
//! answer. All in milliseconds with three decimals.

use std::{fmt::Write, time::Instant};

use axum::response::Response;
use http::{HeaderName, HeaderValue};

use crate::signing::Timings;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Whether answers to signing requests carry the header.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerTiming(pub(super) bool);

/// A running request.
pub(super) struct Stopwatch {
    is_wanted: bool,
    started: Instant,
    /// For the service to fill in.
    pub(super) timings: Timings,
}

impl Stopwatch {
    /// Starts now.
    pub(super) fn start(ServerTiming(is_wanted): ServerTiming) -> Self {
        Self { is_wanted, started: Instant::now(), timings: Timings::default() }
    }

    /// Writes the header if it is wanted.
    pub(super) fn stop(self, mut response: Response) -> Response {
        if self.is_wanted {
            let total_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
            if let Ok(value) = HeaderValue::from_str(&header(self.timings, total_us)) {
                response.headers_mut().insert(SERVER_TIMING, value);
            }
        }
        response
    }
}

fn header(timings: Timings, total_us: u64) -> String {
    let Timings { queue_us, database_us, bls_us } = timings;
    let parts =
        [("queue", queue_us), ("db", database_us), ("bls", bls_us), ("total", Some(total_us))];
    let mut text = String::new();
    for (name, micros) in parts {
        if let Some(micros) = micros {
            let separator = if text.is_empty() { "" } else { ", " };
            // Writing to a text does not fail.
            let _ = write!(text, "{separator}{name};dur={}.{:03}", micros / 1000, micros % 1000);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_become_milliseconds_and_what_did_not_happen_is_left_out() {
        let timings = Timings { queue_us: Some(12), database_us: None, bls_us: Some(1_234_567) };
        assert_eq!(header(timings, 9_000), "queue;dur=0.012, bls;dur=1234.567, total;dur=9.000");
        assert_eq!(header(Timings::default(), 1), "total;dur=0.001");
    }
}
