//! Large slashing protection interchange files (EIP-3076) of keys that nobody holds.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Result;

use crate::requests::GENESIS_VALIDATORS_ROOT;

/// The public key with a number, as `0x` text. It is no point of the curve.
pub fn public_key(number: u64) -> String {
    format!("0x{}{number:016x}", "ab".repeat(40))
}

/// Writes a file for mainnet in which each of `keys` keys has attested in each of `epochs` epochs,
/// and proposed once.
///
/// # Errors
/// When the file can't be written.
pub fn write(path: &Path, keys: u64, epochs: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write!(
        file,
        "{{\"metadata\":{{\"interchange_format_version\":\"5\",\
         \"genesis_validators_root\":\"{GENESIS_VALIDATORS_ROOT}\"}},\"data\":["
    )?;
    for key in 0..keys {
        let comma = if key == 0 { "" } else { "," };
        write!(
            file,
            "{comma}\n{{\"pubkey\":\"{}\",\"signed_blocks\":[{{\"slot\":\"{}\"}}],\
             \"signed_attestations\":[",
            public_key(key),
            key + 1
        )?;
        for epoch in 0..epochs {
            let comma = if epoch == 0 { "" } else { "," };
            write!(
                file,
                "{comma}\n{{\"source_epoch\":\"{epoch}\",\"target_epoch\":\"{}\",\
                 \"signing_root\":\"0x{key:032x}{epoch:032x}\"}}",
                epoch + 1
            )?;
        }
        write!(file, "]}}")?;
    }
    writeln!(file, "]}}")?;
    Ok(file.into_inner()?.sync_all()?)
}
