//! Options of the aggregation worker.

use super::{
    super::option::{Kind, OptionSpec, Scope},
    option_table,
};

const AGGREGATION: &str = "Midslot: aggregation";

option_table!(
    TABLE,
    Scope::Root,
    AGGREGATION_ENABLED = OptionSpec::new(
        &["aggregation-enabled"],
        Kind::Flag,
        AGGREGATION,
        "Add up signatures that others made: serve /midslot/v1/aggregation, on threads of low \
         priority that sign nothing."
    )
    .default("false"),
    AGGREGATION_THREADS = OptionSpec::new(
        &["aggregation-threads"],
        Kind::Integer { min: 1, max: 1024 },
        AGGREGATION,
        "Threads that aggregate. Without it: one less than there are available cores, at least one."
    ),
    AGGREGATION_DEADLINE = OptionSpec::new(
        &["aggregation-deadline-milliseconds"],
        Kind::Integer { min: 1, max: 12_000 },
        AGGREGATION,
        "Time that an aggregation job has from its arrival on, unless it says otherwise."
    )
    .default("750"),
    AGGREGATION_MAX_BODY_SIZE = OptionSpec::new(
        &["aggregation-max-body-size"],
        Kind::Integer { min: 1024, max: 1 << 28 },
        AGGREGATION,
        "Largest body of a submitted aggregation job, in bytes."
    )
    .default("16777216"),
    AGGREGATION_MAX_JOBS = OptionSpec::new(
        &["aggregation-max-jobs"],
        Kind::Integer { min: 1, max: 1 << 20 },
        AGGREGATION,
        "Most aggregation jobs whose results are kept, for four slots at most."
    )
    .default("1024"),
);
