//! Nothing here may turn on the standard library: that it is absent is the proof that the prove step
//! has no clock, no randomness, no input or output and no threads.

const LIBRARY: &str = include_str!("../../src/lib.rs");
const MANIFEST: &str = include_str!("../../Cargo.toml");
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

#[test]
fn the_crate_is_without_the_standard_library() {
    let lines: Vec<_> = LIBRARY.lines().collect();
    assert!(lines.contains(&"#![no_std]"));
    assert!(lines.contains(&"#![forbid(unsafe_code)]"));
    assert!(!LIBRARY.contains("extern crate std"));
}

#[test]
fn its_dependencies_are_without_the_standard_library_and_without_threads() {
    let dependencies: Vec<_> = MANIFEST
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty())
        .collect();
    // Whoever adds one shows here that it brings no standard library.
    assert_eq!(dependencies, ["blst.workspace = true", "sha2.workspace = true"]);
    let of_workspace = |name: &str| {
        let start = format!("{name} = ");
        WORKSPACE.lines().find(|line| line.starts_with(&start)).expect("a dependency")
    };
    assert!(of_workspace("sha2").contains("default-features = false"));
    assert!(!of_workspace("sha2").contains("\"std\""));
    // blst has no feature `std`; without this one it starts a pool on all cores.
    assert!(of_workspace("blst").contains("\"no-threads\""));
}
