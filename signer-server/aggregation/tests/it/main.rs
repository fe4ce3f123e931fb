//! The prove step as its caller sees it.

mod committee;
mod differential;
mod entries;
mod field_bugs;
mod known_answers;
mod no_std;
mod overlap;
mod purity;
mod stops;
mod sync_committee;
