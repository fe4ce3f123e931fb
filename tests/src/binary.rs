//! The signer binary of the same build as the running test or demo.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, ensure};

/// Builds the signer once per process (a matter of milliseconds when it is up to date) and gives
/// its path.
///
/// # Panics
/// When the build fails: no test can say anything then.
pub fn signer_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build().expect("the signer binary must build"))
}

fn build() -> Result<PathBuf> {
    let this = std::env::current_exe().context("the path of the running program")?;
    // target/<profile>/demo or target/<profile>/deps/it-<hash>
    let profile_directory = this
        .ancestors()
        .skip(1)
        .find(|directory| !directory.ends_with("deps"))
        .context("the build folder")?;
    let target_directory = profile_directory.parent().context("the target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", "signer-server", "--bin", "signer-server"])
        .arg("--target-dir")
        .arg(target_directory)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile_directory.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().context("starting cargo")?;
    ensure!(status.success(), "cargo build of the signer ended with {status}");
    Ok(profile_directory.join("signer-server"))
}
