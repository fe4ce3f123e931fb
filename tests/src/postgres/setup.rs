//! What a new cluster needs before its server can start: files, and a port.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use anyhow::{Context, Result, bail};

use super::{
    binaries::Binaries,
    database::random_hex,
    folder::{ClusterFolder, write_shared},
};

/// The superuser that `initdb` makes.
pub(super) const SUPERUSER: &str = "midslot_admin";
/// Ports that no system gives to outgoing connections, so that one stays free while the server is
/// down.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// How many ports to try before giving up.
pub(super) const ATTEMPTS: u32 = 20;

/// Makes the files of an empty cluster that reads [`ClusterFolder::settings_file`].
pub(super) async fn initialise(
    binaries: &Binaries,
    folder: &ClusterFolder,
    password: &str,
) -> Result<()> {
    let password_file = folder.path().join("password");
    write_shared(&password_file, password)?;
    let (data, password_file) = (folder.data(), as_text(&password_file)?.to_owned());
    let arguments = [
        "--pgdata",
        as_text(&data)?,
        "--username",
        SUPERUSER,
        "--pwfile",
        &password_file,
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        // Files that a power loss may take: the machine's temporary folder goes with them.
        "--no-sync",
    ];
    folder.run(&binaries.program("initdb"), &arguments).await?;
    let settings = format!(
        "listen_addresses = '127.0.0.1'\n\
         unix_socket_directories = '{}'\n\
         password_encryption = 'scram-sha-256'\n\
         # In the folder, so that it goes with the folder.\n\
         dynamic_shared_memory_type = 'mmap'\n\
         include '{}'\n",
        folder.path().display(),
        folder.settings_file().display()
    );
    let file = data.join("postgresql.conf");
    let text = std::fs::read_to_string(&file)?;
    write_shared(&file, &(text + &settings))
}

/// The path where only text will do.
pub(super) fn as_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// A port that nobody listens at now.
pub(super) fn free_port() -> Result<u16> {
    for _ in 0..ATTEMPTS {
        let random = u16::from_str_radix(&random_hex(2)?, 16)?;
        let port = PORTS.start + random % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {} and {}", PORTS.start, PORTS.end);
}
