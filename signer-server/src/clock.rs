//! The wall clock. Nothing here decides what may be signed: slashing protection never trusts time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch; zero for a clock that stands before it.
pub fn now_unix_micros() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

/// The time of day for people and access logs, for example `Sat, 21 Nov 2026 08:00:00 GMT`.
pub fn now_rfc1123() -> String {
    jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The instant in the form of the reload status, for example `2026-11-21T08:00:00.123Z`.
pub fn now_iso8601() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
