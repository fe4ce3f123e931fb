//! A cluster that goes back in time: what a restored snapshot, or a replica that was behind when it
//! took over, looks like to a client.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::{PostgresCluster, database::random_hex, folder::write_shared, setup::as_text};

/// The state of a cluster at one moment. Lies in the cluster's folder and goes with it.
#[derive(Debug)]
pub struct Backup {
    folder: PathBuf,
}

impl PostgresCluster {
    /// Copies the running cluster, everything that is committed by now included.
    ///
    /// # Errors
    /// When the copy fails.
    pub async fn base_backup(&self) -> Result<Backup> {
        let folder = self.folder().path().join(format!("backup-{}", random_hex(4)?));
        let arguments = [
            "--pgdata",
            as_text(&folder)?,
            "--dbname",
            &self.superuser_url(),
            "--checkpoint=fast",
            "--wal-method=stream",
            "--no-sync",
        ];
        self.folder().run(&self.program("pg_basebackup"), &arguments).await?;
        Ok(Backup { folder })
    }

    /// Kills the server, puts the backup in place of its files and starts it: same address, same
    /// system identifier, same timeline, fewer transactions.
    ///
    /// # Errors
    /// When the files can't be replaced or the server does not come up.
    pub async fn restore(&mut self, backup: &Backup) -> Result<()> {
        self.replace_files(backup).await?;
        self.restart().await
    }

    /// As [`Self::restore`], but the backup takes over as a replica does that is promoted: it starts
    /// a new timeline.
    ///
    /// # Errors
    /// When the files can't be replaced or the server does not come up.
    pub async fn fail_over(&mut self, backup: &Backup) -> Result<()> {
        self.replace_files(backup).await?;
        // Recovery ends where the archive has nothing more, here at once, and ends in a new timeline.
        // Nobody is let in before that.
        self.settings(&[("restore_command", "false"), ("hot_standby", "off")]).await?;
        write_shared(&self.folder().data().join("recovery.signal"), "")?;
        self.restart().await
    }

    async fn replace_files(&mut self, backup: &Backup) -> Result<()> {
        self.kill().await?;
        let data = self.folder().data();
        ensure!(backup.folder.starts_with(self.folder().path()), "a backup of another cluster");
        std::fs::remove_dir_all(&data)?;
        let arguments = ["-R", "-p", as_text(&backup.folder)?, as_text(&data)?];
        self.folder().run("cp".as_ref(), &arguments).await
    }
}
