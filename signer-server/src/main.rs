//! The `signer-server` binary.
fn main() {}
