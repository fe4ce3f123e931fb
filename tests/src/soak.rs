//! How long the tests with random work go on.

use std::time::Duration;

/// The variable that asks for more: seconds for each of these tests.
const VARIABLE: &str = "MIDSLOT_SOAK";

/// The time that `MIDSLOT_SOAK` gives to each test with random work; `None` without it.
///
/// # Panics
/// When the variable is no number of seconds: a soak that silently lasts a moment shows nothing.
pub fn soak() -> Option<Duration> {
    let text = std::env::var(VARIABLE).ok()?;
    let seconds = text.parse().unwrap_or_else(|_| panic!("{VARIABLE}={text:?} is no number"));
    Some(Duration::from_secs(seconds))
}
