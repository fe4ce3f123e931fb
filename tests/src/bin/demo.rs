//! The newcomer's first minute.
fn main() {}
