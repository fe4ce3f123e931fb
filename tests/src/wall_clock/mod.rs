//! The time of day as one signer sees it, which a test moves while the signer runs, as an operator or
//! a time server does. It is a [library in C](preload) that the real binary loads.

use std::path::PathBuf;

use crate::{SignerOptions, preload};

/// The time of day of the signers that are started with one set of options.
#[derive(Debug)]
pub struct WallClock {
    /// Holds by how many seconds it is shifted, as 8 bytes that the library has mapped.
    file: PathBuf,
}

impl WallClock {
    /// Makes signers that are started with these options from now on have their own time of day,
    /// which is the true one at first.
    ///
    /// # Panics
    /// When the library can't be compiled or its file can't be written.
    pub fn of(options: &mut SignerOptions) -> Self {
        let clock = Self { file: options.folder.path().join("wall_clock") };
        clock.shift_seconds(0);
        let library = preload::library("src/wall_clock/shift.c");
        for (name, path) in
            [(preload::VARIABLE, &library), ("MIDSLOT_WALL_CLOCK_SHIFT", &clock.file)]
        {
            let path = path.to_str().expect("a path in UTF-8").to_owned();
            options.environment.push((name.into(), path));
        }
        clock
    }

    /// Moves it so far from the true time, at once.
    ///
    /// # Panics
    /// When its file can't be written.
    pub fn shift_seconds(&self, seconds: i64) {
        use std::io::Write;

        // In place: what is mapped must stay the same file, and of the same size.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.file)
            .expect("a file in the signer's folder");
        file.write_all(&seconds.to_ne_bytes()).expect("a file in the signer's folder");
    }
}
