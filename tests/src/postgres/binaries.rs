//! Finds the programs of a PostgreSQL server, or installs them where that is allowed.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{process::Command, sync::OnceCell};

/// Names a folder with the programs, ahead of any search.
const OVERRIDE: &str = "MIDSLOT_POSTGRES_BIN";
/// Where Debian and Red Hat put one folder for each major version.
const VERSIONED: [&str; 2] = ["/usr/lib/postgresql", "/usr"];
/// What the harness starts.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_basebackup"];
/// Keeps Debian's packages from making a cluster of their own.
const NO_SYSTEM_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/midslot-tests.conf";

/// The folder with the programs of the newest server of this machine, found once per process.
#[derive(Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds them, or installs them when nothing is found, the user is root and `apt-get` exists.
    ///
    /// # Errors
    /// When there is no server; says what to install.
    pub(super) async fn get() -> Result<&'static Self> {
        static BINARIES: OnceCell<Binaries> = OnceCell::const_new();
        BINARIES.get_or_try_init(Self::find_or_install).await
    }

    /// The path of one of [`PROGRAMS`].
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    async fn find_or_install() -> Result<Self> {
        if let Some(folder) = std::env::var_os(OVERRIDE) {
            let folder = PathBuf::from(folder);
            let all = is_complete(&folder);
            ensure!(all, "{OVERRIDE}={} lacks one of {PROGRAMS:?}", folder.display());
            return Ok(Self { folder });
        }
        if let Some(found) = newest().await {
            return Ok(found);
        }
        if rustix::process::geteuid().is_root() && find_in_path("apt-get").is_some() {
            install().await.context("installing the package postgresql")?;
            if let Some(found) = newest().await {
                return Ok(found);
            }
        }
        bail!(
            "no PostgreSQL server found: install one (Debian: the package postgresql; Fedora: \
             postgresql-server), or set {OVERRIDE} to the folder that holds {PROGRAMS:?}"
        );
    }
}

async fn newest() -> Option<Binaries> {
    let mut found = Vec::new();
    for folder in candidates().await {
        if let Some(version) = version(&folder).await {
            found.push((Reverse(version), folder));
        }
    }
    found.sort();
    found.into_iter().next().map(|(_, folder)| Binaries { folder })
}

/// Folders that hold all the programs. Links are resolved, since some systems link only a few of
/// them into the search path.
async fn candidates() -> BTreeSet<PathBuf> {
    let mut folders = Vec::new();
    if let Some(parent) = find_in_path("postgres")
        .and_then(|program| program.canonicalize().ok())
        .and_then(|program| Some(program.parent()?.to_owned()))
    {
        folders.push(parent);
    }
    for parent in VERSIONED {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path().join("bin")));
    }
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output().await {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    folders.retain(|folder| is_complete(folder));
    folders.into_iter().collect()
}

fn is_complete(folder: &Path) -> bool {
    PROGRAMS.iter().all(|name| folder.join(name).is_file())
}

fn find_in_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Major and minor version, from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
async fn version(folder: &Path) -> Option<(u32, u32)> {
    let output = Command::new(folder.join("postgres")).arg("--version").output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    parse_version(&text)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().nth(2)?;
    let digits = |part: &str| -> Option<u32> {
        // A version before its release: `18beta1`.
        part.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
    };
    let mut parts = word.split('.');
    Some((digits(parts.next()?)?, parts.next().and_then(digits).unwrap_or_default()))
}

/// Installs the server of this Debian without a system cluster: the settings of `postgresql-common`
/// must be there before the server's package looks at them.
async fn install() -> Result<()> {
    apt_get(["update"]).await?;
    apt_get(["install", "postgresql-common"]).await?;
    let settings = Path::new(NO_SYSTEM_CLUSTER);
    let folder = settings.parent().context("a folder")?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(settings, "create_main_cluster = false\n")?;
    apt_get(["install", "postgresql"]).await
}

async fn apt_get<const COUNT: usize>(words: [&str; COUNT]) -> Result<()> {
    let output = Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"])
        .args(words.map(OsStr::new))
        .output()
        .await
        .context("starting apt-get")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "apt-get {words:?} ended with {}: {errors}", output.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases_and_of_betas_are_ordered() {
        let debian = parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n");
        assert_eq!(debian, Some((15, 18)));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1\n"), Some((18, 0)));
        assert_eq!(parse_version("something else"), None);
        assert!(parse_version("postgres (PostgreSQL) 9.6.1") < debian);
    }

    #[test]
    fn folder_without_all_programs_is_no_candidate() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("postgres"), "").unwrap();
        assert!(!is_complete(folder.path()));
    }
}
