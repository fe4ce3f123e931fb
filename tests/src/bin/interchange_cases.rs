//! Runs slashing protection interchange test cases (EIP-3076) against the real signer.

#![expect(clippy::print_stdout, reason = "the program reports to a person")]

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use midslot_tests::interchange_case::Case;

const HELP: &str = "\
Runs slashing protection interchange test cases (EIP-3076) against the real signer.

    cargo interchange-cases FOLDER

FOLDER holds *.json files in the form of
https://github.com/eth-clients/slashing-protection-interchange-tests (there: tests/generated).

For each file a signer is started on a database of its own. Each step is imported with
`signer-server eth2 import` while the signer is stopped, then signatures are asked for over HTTP.
The files name keys and signing roots that nobody can sign with; both are translated to interop
keys and to blocks and votes with different contents, in the imported files and the requests alike.

A case fails when the signer signs what it must not, refuses what every signer must sign, or
imports what it must not (or the other way round). Refusing what only a signer that keeps every
record would sign is reported as \"stricter\" and is no failure.

Exit code: 0 when every case passes, 1 when one fails or nothing was found.
";

fn main() -> Result<ExitCode> {
    let arguments: Vec<OsString> =
        std::env::args_os().skip(1).filter(|word| word != "--").collect();
    let [folder] = &arguments[..] else {
        println!("{HELP}");
        return Ok(ExitCode::FAILURE);
    };
    if folder == "--help" || folder == "-h" {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("the folder {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    ensure!(!files.is_empty(), "there are no *.json files in {}", folder.display());
    let is_good = tokio::runtime::Runtime::new()?.block_on(run(&files))?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(files: &[PathBuf]) -> Result<bool> {
    let (mut failed, mut stricter, mut attempts) = (0, 0, 0);
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let case = Case::parse(&text).with_context(|| file.display().to_string())?;
        let outcome = case.run().await.with_context(|| case.name.clone())?;
        let verdict = if outcome.failures.is_empty() { "pass" } else { "FAIL" };
        println!("{verdict}  {}", case.name);
        for failure in &outcome.failures {
            println!("      {failure}");
        }
        for refusal in &outcome.stricter {
            println!("      stricter: {refusal}");
        }
        failed += usize::from(!outcome.failures.is_empty());
        stricter += outcome.stricter.len();
        attempts += outcome.attempts;
    }
    println!(
        "{} cases, {attempts} signatures asked for, {failed} cases failed, {stricter} refusals \
         stricter than necessary",
        files.len()
    );
    Ok(failed == 0)
}
