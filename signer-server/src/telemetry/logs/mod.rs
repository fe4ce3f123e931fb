//! Log lines on standard output, in `Web3Signer`'s forms.
//!
//! One event is one line, whatever its message and fields hold. The chosen level is that of our
//! own crates; other crates log from `INFO` up at most, because below that a library may print
//! what it was given (headers, statements), and some of that is secret.

mod causes;
pub(crate) mod escape;
mod event;
mod layout;
mod options;
mod panics;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    sync::atomic::{AtomicU64, Ordering},
};

use jiff::{Timestamp, tz::TimeZone};
use tracing::{Event, Subscriber, level_filters::LevelFilter, subscriber::set_global_default};
use tracing_subscriber::{
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
};

pub use self::{
    causes::with_causes,
    options::{LogFormat, LogLevel},
    panics::report_panics_without_values,
};
use self::{event::Record, layout::Surroundings};

/// The targets that follow the chosen level: this library and binary, and the wire types.
const OWN_TARGETS: [&str; 2] = ["signer_server", "signer_client"];

/// [`init`] was called before, or another library set up its own logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("logging has been set up already")]
pub struct LoggingAlreadySetUp;

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output: the service's log.
    Stdout,
    /// Standard error, for commands whose standard output is their result.
    Stderr,
}

/// Starts to log. Until then events go nowhere.
///
/// # Errors
/// When logging was set up before; it then stays as it is.
pub fn init(
    level: LogLevel,
    format: LogFormat,
    output: LogOutput,
) -> Result<(), LoggingAlreadySetUp> {
    let layout = Layout {
        format,
        clock: Timestamp::now,
        surroundings: Surroundings {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            time_zone: TimeZone::system(),
        },
        events: AtomicU64::new(0),
    };
    let set = match output {
        LogOutput::Stdout => set_global_default(subscriber(level, layout, io::stdout)),
        LogOutput::Stderr => set_global_default(subscriber(level, layout, io::stderr)),
    };
    set.map_err(|_| LoggingAlreadySetUp)
}

fn subscriber<W>(level: LogLevel, layout: Layout, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let own = level.filter();
    let targets = Targets::new()
        .with_default(own.min(LevelFilter::INFO))
        .with_targets(OWN_TARGETS.map(|target| (target, own)));
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(false).event_format(layout).with_writer(writer);
    tracing_subscriber::registry().with(targets).with(lines)
}

/// Turns events into lines.
#[derive(Debug)]
struct Layout {
    format: LogFormat,
    clock: fn() -> Timestamp,
    surroundings: Surroundings,
    events: AtomicU64,
}

impl<S, N> FormatEvent<S, N> for Layout
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let record = Record::new(event, (self.clock)());
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        let line = layout::line(self.format, &self.surroundings, &record, number)?;
        writeln!(writer, "{line}")
    }
}
