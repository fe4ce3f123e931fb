//! One PostgreSQL server with its data: start, ordinary stop, and faults.

use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Child,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::sync::OnceCell;

use super::{
    Authority, TestDatabase,
    binaries::Binaries,
    database::random_hex,
    folder::{ClusterFolder, Place, write_shared},
    processes::{kill_all, processes_in, resume_all, stop_all},
    setup::{ATTEMPTS, SUPERUSER, as_text, free_port, initialise},
};

/// How long the server may take to start or to stop. Other tests run beside it.
const PATIENCE: Duration = Duration::from_mins(1);
/// Where a cluster is reached, and how by its superuser.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    socket_folder: PathBuf,
    superuser_password: String,
}

impl Server {
    /// A connection of the superuser, over the Unix socket.
    pub(super) async fn superuser(&self, database: &str) -> Result<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_folder)
            .port(self.address.port())
            .username(SUPERUSER)
            .ssl_mode(PgSslMode::Disable)
            .database(database);
        Ok(PgConnection::connect_with(&options).await?)
    }
}

/// A PostgreSQL server of its own, on 127.0.0.1 (password, SCRAM-SHA-256) and on a Unix socket
/// (no password). `fsync` is on unless a test sets it otherwise. Dropping it ends the server and
/// removes its data.
#[derive(Debug)]
pub struct PostgresCluster {
    binaries: &'static Binaries,
    // Dropped before the process, which the folder's guard ends.
    folder: ClusterFolder,
    server: Arc<Server>,
    settings: BTreeMap<String, String>,
    /// `None` while it is down.
    postmaster: Option<Postmaster>,
}

impl PostgresCluster {
    /// The cluster that all tests of this process share. Nothing can break it: every fault needs
    /// a cluster of one's own.
    ///
    /// # Errors
    /// As [`Self::start`]; the next call tries again.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<PostgresCluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Makes an empty cluster and starts its server. It lies in memory where there is enough of it,
    /// else in the temporary folder.
    ///
    /// # Errors
    /// When there is no server on this machine, with what to install; when it can't be set up or
    /// does not come up, with what it printed.
    pub async fn start() -> Result<Self> {
        Self::start_in(Place::Fast).await
    }

    /// As [`Self::start`], but never in memory, for what is about the disk: there every commit waits
    /// for it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_on_disk() -> Result<Self> {
        Self::start_in(Place::Disk).await
    }

    async fn start_in(place: Place) -> Result<Self> {
        let binaries = Binaries::get().await?;
        let folder = ClusterFolder::create(place)?;
        let superuser_password = random_hex(16)?;
        initialise(binaries, &folder, &superuser_password).await?;
        let settings = [("max_connections", "300"), ("fsync", "on")];
        let mut cluster = Self {
            binaries,
            server: Arc::new(Server {
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)),
                socket_folder: folder.path().to_owned(),
                superuser_password,
            }),
            folder,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            postmaster: None,
        };
        cluster.write_settings()?;
        for _ in 0..ATTEMPTS {
            match cluster.start_server().await {
                // Somebody else took the port since it was found free.
                Err(error) if error.to_string().contains("Address already in use") => {
                    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
                    let server = Arc::get_mut(&mut cluster.server).context("no database yet")?;
                    server.address = address;
                    File::create(cluster.folder.log_file())?;
                }
                other => return other.map(|()| cluster),
            }
        }
        bail!("every port was taken at the last moment");
    }

    /// Where it listens, also while it is down.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The folder with the cluster's files, for a test that looks at them or harms them.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.data()
    }

    /// What the server has printed so far, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.log_file()).unwrap_or_default()
    }

    /// A fresh empty database with a role of its own, without any other right, that owns it. Dropped
    /// at its end.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn database(&self) -> Result<TestDatabase> {
        TestDatabase::create(Arc::clone(&self.server)).await
    }

    /// An empty database with the name, role and password of a database of another cluster: what
    /// somebody finds behind a URL that leads to a new server.
    ///
    /// # Errors
    /// When the server does not answer, or has a database or role of that name.
    pub async fn database_like(&self, other: &TestDatabase) -> Result<TestDatabase> {
        TestDatabase::create_like(Arc::clone(&self.server), other).await
    }

    /// A connection of the superuser to the maintenance database.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn superuser(&self) -> Result<PgConnection> {
        self.server.superuser("postgres").await
    }

    /// The superuser's password, for connections over TCP.
    pub fn superuser_password(&self) -> &str {
        &self.server.superuser_password
    }

    /// Whether the server runs, be it paused.
    pub fn is_running(&self) -> bool {
        self.postmaster.is_some()
    }

    /// The server's processes.
    ///
    /// # Errors
    /// When the list of processes can't be read.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        processes_in(&self.folder.data())
    }

    /// Sets server settings, over the whole life of the cluster. A running server reads them again;
    /// those that only a start reads need [`Self::restart`].
    ///
    /// # Errors
    /// When the file can't be written or the server does not read it.
    pub async fn settings(&mut self, settings: &[(&str, &str)]) -> Result<()> {
        let owned = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        self.settings.extend(owned);
        self.write_settings()?;
        if self.postmaster.is_none() {
            return Ok(());
        }
        let mut connection = self.superuser().await?;
        let read_at = "SELECT pg_conf_load_time()::text";
        let before: String = sqlx::query_scalar(read_at).fetch_one(&mut connection).await?;
        connection.execute("SELECT pg_reload_conf()").await?;
        let start = Instant::now();
        loop {
            let now: String = sqlx::query_scalar(read_at).fetch_one(&mut connection).await?;
            if now != before {
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "the settings were not read:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the server in order: connections end, everything is written.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut postmaster) = self.postmaster.take() else { return Ok(()) };
        resume_all(&self.folder.data())?;
        let id = Pid::from_child(&postmaster.0);
        kill_process(id, Signal::INT).context("stopping PostgreSQL")?;
        let start = Instant::now();
        while postmaster.0.try_wait()?.is_none() {
            ensure!(start.elapsed() < PATIENCE, "PostgreSQL does not stop:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends all processes of the server by `SIGKILL` at once, as a crash does.
    ///
    /// # Errors
    /// When one of them stays.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(postmaster) = self.postmaster.take() else { return Ok(()) };
        kill_all(&self.folder.data()).await?;
        // The next server on these files would do it, but a test may take the files away.
        for memory in shared_memory_of(Pid::from_child(&postmaster.0))? {
            self.folder.run("ipcrm".as_ref(), &["-m", &memory]).await?;
        }
        Ok(())
    }

    /// Starts the server on its files and its address; stops it in order first when it runs.
    ///
    /// # Errors
    /// When it does not come up, with what it printed.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_server().await
    }

    /// Stops all processes of the server with `SIGSTOP`: connections stay open and nobody answers,
    /// as with a frozen machine or a cut link.
    ///
    /// # Errors
    /// When the server is down.
    pub fn pause(&mut self) -> Result<()> {
        let stopped = stop_all(&self.folder.data())?;
        ensure!(!stopped.is_empty(), "PostgreSQL is down, there is nothing to pause");
        Ok(())
    }

    /// Ends a [`Self::pause`].
    ///
    /// # Errors
    /// When the list of processes can't be read.
    pub fn resume(&mut self) -> Result<()> {
        resume_all(&self.folder.data())
    }

    /// Lets the server speak TLS with a certificate of `authority` for `host`, and refuse connections
    /// over TCP that are not encrypted or, when `client_authority` is given, whose client shows no
    /// certificate of it. Needs [`Self::restart`] to take effect.
    ///
    /// # Errors
    /// When its files can't be written.
    pub async fn encrypt(
        &mut self,
        authority: &Authority,
        host: &str,
        client_authority: Option<&Authority>,
    ) -> Result<()> {
        let folder = self.folder.path().to_owned();
        let (certificate, key) = authority.issue(host)?;
        let demand = if client_authority.is_some() { " clientcert=verify-ca" } else { "" };
        let rules =
            format!("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256{demand}\n");
        let clients = client_authority.map(Authority::pem).unwrap_or_default();
        let names =
            ["server.crt", "server.key", "clients.crt", "rules"].map(|name| folder.join(name));
        for (file, text) in names.iter().zip([certificate, key, clients, rules]) {
            write_shared(file, &text)?;
            std::fs::set_permissions(file, Permissions::from_mode(0o600))?;
        }
        let [certificate, key, clients, rules] = names.each_ref().map(|path| as_text(path));
        let clients = if client_authority.is_some() { clients? } else { "" };
        self.settings(&[
            ("ssl", "on"),
            ("ssl_cert_file", certificate?),
            ("ssl_key_file", key?),
            ("ssl_ca_file", clients),
            ("hba_file", rules?),
        ])
        .await
    }

    pub(super) fn folder(&self) -> &ClusterFolder {
        &self.folder
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.binaries.program(name)
    }

    pub(super) fn superuser_url(&self) -> String {
        let (folder, port) = (self.folder.path().display(), self.server.address.port());
        format!("host={folder} port={port} user={SUPERUSER} dbname=postgres")
    }

    fn write_settings(&self) -> Result<()> {
        let quoted = |text: &str| text.replace('\'', "''");
        let line = |(name, value): (&String, &String)| format!("{name} = '{}'\n", quoted(value));
        let text: String = self.settings.iter().map(line).collect();
        write_shared(&self.folder.settings_file(), &text)
    }

    async fn start_server(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.log_file())?;
        let mut command = self.folder.command(&self.binaries.program("postgres"));
        command
            .arg("-D")
            .arg(self.folder.data())
            .args(["-p", &self.server.address.port().to_string()])
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut postmaster = Postmaster(command.spawn().context("starting PostgreSQL")?);
        let start = Instant::now();
        loop {
            if let Some(status) = postmaster.0.try_wait()? {
                bail!("PostgreSQL ended with {status} at its start:\n{}", self.log());
            }
            if let Ok(connection) = self.superuser().await {
                // It is up anyway; what matters is that it let us in.
                drop(connection.close().await);
                self.postmaster = Some(postmaster);
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "PostgreSQL does not come up:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The process that all others of a server descend from.
#[derive(Debug)]
struct Postmaster(Child);

impl Drop for Postmaster {
    fn drop(&mut self) {
        // One that still runs (its start has failed) has no way out of this.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The System V shared memory that a process has made and not given back. The kernel is asked, because
/// what the server's own file says of it is out of date when the disk is full or a crash is being mended.
fn shared_memory_of(creator: Pid) -> Result<Vec<String>> {
    let table = "/proc/sysvipc/shm";
    let text = std::fs::read_to_string(table).with_context(|| format!("reading {table}"))?;
    let creator = creator.as_raw_nonzero().to_string();
    let made_by_it = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        // key shmid perms size cpid ...
        (columns.get(4) == Some(&creator.as_str())).then(|| columns[1].to_owned())
    };
    Ok(text.lines().filter_map(made_by_it).collect())
}

/// Runs one or several statements that the harness has put together itself.
pub(super) async fn execute(connection: &mut PgConnection, sql: String) -> Result<()> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    Ok(())
}
