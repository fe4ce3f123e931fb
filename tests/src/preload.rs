//! Small libraries in C that stand between the real binary and the operating system: it loads them by
//! `LD_PRELOAD`, so that nothing is compiled into the signer for a test. Linux only.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};

use crate::binary::signer_binary;

/// The environment variable that names the library to a program.
pub const VARIABLE: &str = "LD_PRELOAD";

/// The library made from this file of the test package, compiled once for the process.
///
/// # Panics
/// When it can't be compiled: no test can say anything then.
pub fn library(source: &'static str) -> PathBuf {
    static LIBRARIES: Mutex<Option<HashMap<&str, PathBuf>>> = Mutex::new(None);
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = || compile(Path::new(source)).expect("the library must compile");
    libraries.get_or_insert_default().entry(source).or_insert_with(compiled).clone()
}

fn compile(source: &Path) -> Result<PathBuf> {
    let folder = signer_binary().parent().context("the build folder")?;
    let name = source.file_stem().and_then(|name| name.to_str()).context("a file name")?;
    let library = folder.join(format!("libmidslot_{name}.so"));
    let own = folder.join(format!("libmidslot_{name}.{}.so", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
    let output = command.arg(&own).arg(&source).output().context("starting the C compiler")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} does not compile:\n{said}", source.display());
    // In one step: another test program may be loading the one that is there.
    std::fs::rename(own, &library)?;
    Ok(library)
}
