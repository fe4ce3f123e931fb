//! A running signer process.

use std::{
    ffi::OsStr,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use crate::{HttpClient, binary::signer_binary, key_files, postgres::TestDatabase};

/// How long a start may take before it counts as stuck. Other tests run beside it.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long an orderly stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(40);

/// How to start a signer. The folders outlive the process, so that it can be started again.
pub struct SignerOptions {
    /// Holds the data folder and the key folder.
    pub folder: TempDir,
    /// Root options beside the ones that the harness gives.
    pub root: Vec<String>,
    /// `eth2` options beside the ones that the harness gives.
    pub eth2: Vec<String>,
    /// Environment of the process, beside the inherited one.
    pub environment: Vec<(String, String)>,
    /// A program with its arguments that takes the signer's command line as further arguments and
    /// becomes the signer by `exec`.
    pub wrapper: Vec<String>,
    /// The copy of the binary that [`NOBODY`] runs, where the process must not be root's.
    unprivileged: Option<PathBuf>,
}

/// User and group without any rights, by the convention of Linux.
const NOBODY: u32 = 65534;

impl SignerOptions {
    /// A signer with an empty key folder and an empty data folder.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["data", "keys"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Self {
            folder,
            root: Vec::new(),
            eth2: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            unprivileged: None,
        }
    }

    /// A signer with the first `count` interop keys as raw key configuration files.
    pub fn with_interop_keys(count: u64) -> Self {
        let options = Self::empty();
        for index in 0..count {
            key_files::write_raw_key(&options.key_folder(), index);
        }
        options
    }

    /// Adds an `eth2` option.
    #[must_use]
    pub fn eth2(mut self, option: impl Into<String>) -> Self {
        self.eth2.push(option.into());
        self
    }

    /// Keeps slashing protection in this database. The password is not on the command line.
    #[must_use]
    pub fn on_postgres(mut self, database: &TestDatabase) -> Self {
        let password = database.password().to_owned();
        self.environment.push(("WEB3SIGNER_ETH2_SLASHING_PROTECTION_DB_PASSWORD".into(), password));
        self.eth2(format!("--slashing-protection-db-url={}", database.jdbc_url()))
            .eth2(format!("--slashing-protection-db-username={}", database.role()))
    }

    /// Adds a root option.
    #[must_use]
    pub fn root(mut self, option: impl Into<String>) -> Self {
        self.root.push(option.into());
        self
    }

    /// Makes permissions count: root may read every file, so that a signer that root starts gets
    /// another user, who owns all that is in [`Self::folder`] by now.
    ///
    /// # Panics
    /// When the folder can't be given away.
    #[must_use]
    pub fn unprivileged(mut self) -> Self {
        if rustix::process::geteuid().is_root() {
            // The build folder may be closed to others.
            let binary = self.folder.path().join("signer-server");
            std::fs::copy(signer_binary(), &binary).expect("a copy of the binary");
            give_away(self.folder.path()).expect("root may give files away");
            self.unprivileged = Some(binary);
        }
        self
    }

    /// Where the database lies.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where key configuration files lie.
    pub fn key_folder(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// What the process has printed so far, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("signer.log")
    }

    fn ports_file(&self) -> PathBuf {
        self.data_folder().join("web3signer.ports")
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            option("data-path", &self.data_folder()),
            option("key-config-path", &self.key_folder()),
            "--http-listen-port=0".to_owned(),
            "--metrics-port=0".to_owned(),
        ];
        arguments.extend(self.root.iter().cloned());
        arguments.push("eth2".to_owned());
        arguments.extend(self.eth2.iter().cloned());
        arguments
    }

    fn command(&self, arguments: &[String]) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let binary = self.unprivileged.as_deref().unwrap_or_else(|| signer_binary());
        let mut words = self.wrapper.iter().map(OsStr::new).chain([binary.as_os_str()]);
        let mut command = Command::new(words.next().context("a program")?);
        if self.unprivileged.is_some() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
            .args(words)
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        Ok(command)
    }

    /// Starts the signer and waits until it serves.
    ///
    /// # Errors
    /// When it ends early (with what it printed) or does not come up.
    pub async fn start(self) -> Result<Signer> {
        match self.start_or_end().await? {
            Start::Serves(signer) => Ok(*signer),
            Start::Ended(options, status) => {
                bail!("the signer ended with {status} at its start:\n{}", options.log())
            }
        }
    }

    /// Starts the signer where it may end by itself instead, and waits for either.
    ///
    /// # Errors
    /// When it neither serves nor ends.
    pub async fn start_or_end(self) -> Result<Start> {
        // A killed signer leaves its file behind.
        drop(std::fs::remove_file(self.ports_file()));
        let mut process =
            self.command(&self.arguments())?.spawn().context("starting the signer")?;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if let Some(ports) = read_ports(&self.ports_file()) {
                let client = HttpClient::new(ports.http);
                if client.get("/upcheck").await.is_ok() {
                    let metrics = ports.metrics;
                    let signer = Signer { process, options: self, client, metrics };
                    return Ok(Start::Serves(Box::new(signer)));
                }
            }
            if let Some(status) = process.try_wait()? {
                return Ok(Start::Ended(self, status));
            }
            if Instant::now() > deadline {
                bail!("the signer did not come up:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the signer where it is expected to end by itself.
    ///
    /// # Errors
    /// When it can't be started or keeps running.
    pub async fn run_to_end(&self) -> Result<Ended> {
        self.run_alone(&self.arguments()).await
    }

    /// Runs a command behind `eth2` on the same folders, with the same options.
    ///
    /// # Errors
    /// When it can't be started or keeps running.
    pub async fn run_command(&self, command: &[&str]) -> Result<Ended> {
        let before = self.log().len();
        let mut ended = self.run_alone(&self.command_line(command)).await?;
        ended.output = ended.output.split_off(before);
        Ok(ended)
    }

    /// The arguments of [`Self::run_command`].
    pub fn command_line(&self, command: &[&str]) -> Vec<String> {
        let command = command.iter().map(|word| (*word).to_owned());
        self.arguments().into_iter().chain(command).collect()
    }

    /// Starts the binary with these arguments alone. Killed when dropped.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn_alone(&self, arguments: &[String]) -> Result<Child> {
        self.command(arguments)?.spawn().context("starting the signer")
    }

    /// Runs the binary with these arguments alone, where it is expected to end by itself.
    ///
    /// # Errors
    /// When it can't be started or keeps running.
    pub async fn run_alone(&self, arguments: &[String]) -> Result<Ended> {
        let mut process = self.spawn_alone(arguments)?;
        let status = tokio::time::timeout(START_PATIENCE, process.wait())
            .await
            .with_context(|| format!("the signer kept running:\n{}", self.log()))??;
        Ok(Ended { code: status.code(), output: self.log() })
    }
}

/// Makes [`NOBODY`] the owner of a file, or of a folder and what is in it.
fn give_away(path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_away(&entry?.path())?;
        }
    }
    Ok(())
}

/// What became of a start.
pub enum Start {
    /// It serves.
    Serves(Box<Signer>),
    /// It has ended, and these are its folders.
    Ended(SignerOptions, ExitStatus),
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code, `None` after a signal.
    pub code: Option<i32>,
    /// Everything it printed.
    pub output: String,
}

/// A running signer. Killed when dropped.
pub struct Signer {
    process: Child,
    /// What it was started with.
    pub options: SignerOptions,
    /// A client for its signing port.
    pub client: HttpClient,
    /// Its metrics port, when metrics are on.
    pub metrics: Option<SocketAddr>,
}

impl Signer {
    /// Ends the process as `kill -9` does and gives the folders back.
    ///
    /// # Errors
    /// When the process can't be killed.
    pub async fn kill(mut self) -> Result<SignerOptions> {
        self.process.kill().await?;
        Ok(self.options)
    }

    /// Ends the process by SIGTERM and gives its exit code and the folders.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(self) -> Result<(Option<i32>, SignerOptions)> {
        self.signal(rustix::process::Signal::TERM)?;
        self.ended().await
    }

    /// Waits until the process has ended after a signal, and gives its exit code and the folders.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(mut self) -> Result<(Option<i32>, SignerOptions)> {
        let status = tokio::time::timeout(STOP_PATIENCE, self.process.wait())
            .await
            .context("the signer did not stop")??;
        Ok((status.code(), self.options))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        rustix::process::kill_process(self.process_id()?, signal)?;
        Ok(())
    }

    /// The identifier of the process.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn process_id(&self) -> Result<rustix::process::Pid> {
        self.process
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?))
            .context("the signer has ended")
    }
}

struct Ports {
    http: SocketAddr,
    metrics: Option<SocketAddr>,
}

/// Reads the file that the signer writes once its ports are open.
fn read_ports(file: &Path) -> Option<Ports> {
    let text = std::fs::read_to_string(file).ok()?;
    let port = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(SocketAddr::from(([127, 0, 0, 1], value.trim().parse().ok()?)))
    };
    Some(Ports { http: port("http-port")?, metrics: port("metrics-port") })
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}
