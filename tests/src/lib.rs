//! Harness for end-to-end tests on the real signer binary.
