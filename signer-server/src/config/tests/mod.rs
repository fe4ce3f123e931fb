//! Tests of the whole way from arguments to a configuration.

mod audit;
mod databases;
mod exits;
mod file;
mod layers;
mod properties;
mod reference;
mod sections;

use std::{collections::HashMap, ffi::OsString, path::PathBuf};

use tempfile::TempDir;

use super::{Config, Exit, Invocation, from_args};

/// Reads arguments (split at blanks) with these environment variables.
fn read_with(environment: &[(&str, &str)], arguments: &str) -> Result<Invocation, Exit> {
    let variables: HashMap<&str, &str> = environment.iter().copied().collect();
    let arguments = ["signer-server"].into_iter().chain(arguments.split_whitespace());
    from_args(arguments.map(OsString::from), &|name| {
        variables.get(name).map(|text| (*text).to_owned())
    })
}

fn read(arguments: &str) -> Result<Invocation, Exit> {
    read_with(&[], arguments)
}

fn config(arguments: &str) -> Config {
    read(arguments).unwrap().config
}

/// The text of the error that arguments give, which must be a parameter error with usage.
fn error_with(environment: &[(&str, &str)], arguments: &str) -> String {
    let exit = read_with(environment, arguments).unwrap_err();
    assert_eq!((exit.code, exit.to_stdout), (2, false), "{}", exit.message);
    assert!(exit.message.starts_with("error: "), "{}", exit.message);
    assert!(exit.message.contains("Usage: signer-server"), "{}", exit.message);
    exit.message
}

fn error(arguments: &str) -> String {
    error_with(&[], arguments)
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

/// A configuration file that is deleted with the returned folder.
fn yaml_file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// Reads a configuration file and arguments after `--config-file`.
fn read_file(text: &str, arguments: &str) -> Result<Invocation, Exit> {
    let (_folder, path) = yaml_file(text);
    read(&format!("--config-file {} {arguments}", path.display()))
}
