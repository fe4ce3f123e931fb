//! The two options of logging: from which level, and in which form.

use tracing::level_filters::LevelFilter;

use crate::choice::choices;

choices! {
    /// The least important events that are logged (`--logging`).
    LogLevel {
    /// Nothing.
    Off = "OFF",
    /// As [`LogLevel::Off`]: what ends the process is told on standard error, not logged.
    Fatal = "FATAL",
    /// What failed.
    Error = "ERROR",
    /// What an operator should look at.
    Warn = "WARN",
    /// What happens rarely: start, reload, stop.
    Info = "INFO",
    /// What helps to find a fault.
    Debug = "DEBUG",
    /// Everything.
    Trace = "TRACE",
    /// As [`LogLevel::Trace`].
    All = "ALL",
    }
}

choices! {
    /// The form of a log line (`--logging-format`).
    LogFormat {
    /// Text in columns.
    Plain = "PLAIN",
    /// JSON for Elasticsearch (Elastic Common Schema).
    Ecs = "ECS",
    /// JSON for Google Cloud Logging.
    Gcp = "GCP",
    /// JSON for Graylog (Graylog Extended Log Format 1.1).
    Gelf = "GELF",
    /// JSON for Logstash (its event layout, version 1).
    Logstash = "LOGSTASH",
    }
}

impl LogFormat {
    /// Every form.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Ecs, Self::Gcp, Self::Gelf, Self::Logstash];
}

impl LogLevel {
    /// The level as `tracing` has it.
    pub(super) const fn filter(self) -> LevelFilter {
        match self {
            Self::Off | Self::Fatal => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace | Self::All => LevelFilter::TRACE,
        }
    }
}
