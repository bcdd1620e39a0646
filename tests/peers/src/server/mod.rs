//! Real servers on loopback: where their programs are, how they are started, and what is said of their settings.
//!
//! Each has a directory of its own, a port that was free, and default settings but for what [`Server::settings`] says. It is killed
//! with its [`Server`], and its directory goes too.

mod process;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tempfile::TempDir;

use self::process::{Ending, NOBODY, Process, User, command};
use crate::peer::failed;

/// A server is up within this, or never.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How often another port is tried, where somebody else took it in between.
const ATTEMPTS: u32 = 3;
/// Memory that has a directory.
const MEMORY: &str = "/dev/shm";

/// A lock service.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Product {
    /// This project's server, which is always there
    Rmd,
    /// By the recipes of its client library for Go
    Etcd,
    /// By scripts as Redisson has them, and by SET NX PX
    Redis,
    /// By Curator's recipe
    Zookeeper,
    /// By advisory locks
    Postgres,
}

/// Where a server keeps its files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Data {
    Disk,
    Memory,
}

impl Data {
    fn directory(self) -> Result<TempDir, String> {
        let directory = match self {
            Self::Disk => tempfile::tempdir(),
            Self::Memory => tempfile::tempdir_in(MEMORY),
        };
        directory.map_err(failed("cannot make a directory for a server"))
    }
}

impl Product {
    /// How to get it, where it is not there.
    pub(crate) const fn install(self) -> &'static str {
        match self {
            Self::Rmd => "cargo build --release --package rm-net --bin rmd",
            Self::Etcd => "apt-get install etcd-server, or name the program in RM_ETCD",
            Self::Redis => "apt-get install redis-server",
            Self::Zookeeper => {
                "apt-get install zookeeper, or name the class path of another in RM_ZOOKEEPER_CLASSPATH"
            }
            Self::Postgres => "apt-get install postgresql",
        }
    }

    /// Whether it is there.
    pub(crate) fn is_installed(self) -> bool {
        match self {
            Self::Zookeeper => on_path("java").is_some() && class_path().is_some(),
            _ => self.program().is_some(),
        }
    }

    fn program(self) -> Option<PathBuf> {
        match self {
            Self::Rmd => {
                let beside = env::current_exe().ok()?.with_file_name("rmd");
                beside.is_file().then_some(beside)
            }
            Self::Etcd => {
                env::var_os("RM_ETCD").map_or_else(|| on_path("etcd"), |it| Some(it.into()))
            }
            Self::Redis => on_path("redis-server"),
            Self::Zookeeper => on_path("java"),
            Self::Postgres => on_path("postgres").or_else(newest_postgres),
        }
    }

    fn arguments(self, dir: &Path, port: u16) -> Vec<OsString> {
        let path = |name: &str| dir.join(name).into_os_string();
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let number = port.to_string();
        match self {
            Self::Rmd => {
                let mut all = words(&["--log", "off", "--name", "peers", "--listen"]);
                all.extend([address(port).into(), "--data-dir".into(), path("data")]);
                all
            }
            Self::Etcd => etcd(dir, port),
            Self::Redis => {
                let mut all = words(&["--bind", "127.0.0.1", "--port", &number, "--dir"]);
                all.push(dir.into());
                all
            }
            Self::Zookeeper => {
                // What its own start script gives it.
                let mut all = words(&["-Xmx1000m", "-cp"]);
                all.push(class_path().unwrap_or_default());
                all.push("org.apache.zookeeper.server.quorum.QuorumPeerMain".into());
                all.push(path("zoo.cfg"));
                all
            }
            Self::Postgres => {
                let mut all = words(&["-h", "127.0.0.1", "-p", &number]);
                all.extend(words(&["-c", "unix_socket_directories=", "-D"]));
                all.push(path("data"));
                // Room for 100,000 locks: by default it has some 6,400.
                all.extend(words(&["-c", "max_locks_per_transaction=2048"]));
                all
            }
        }
    }

    /// What is made before it starts.
    fn prepare(self, dir: &Path, port: u16) -> Result<(), String> {
        match self {
            Self::Zookeeper => {
                let data = dir.join("data").display().to_string();
                let text = format!(
                    "tickTime=2000\ndataDir={data}\nclientPortAddress=127.0.0.1\nclientPort={port}\n\
                     admin.enableServer=false\nmaxClientCnxns=0\n4lw.commands.whitelist=srvr\n"
                );
                fs::write(dir.join("zoo.cfg"), text).map_err(failed("zookeeper"))
            }
            Self::Postgres => make_cluster(dir),
            Self::Rmd | Self::Etcd | Self::Redis => Ok(()),
        }
    }

    const fn user(self) -> User {
        match self {
            Self::Postgres => User::NotRoot,
            _ => User::Own,
        }
    }

    const fn ending(self) -> Ending {
        match self {
            Self::Postgres => Ending::Interrupted,
            _ => Ending::Killed,
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    // Ends before its directory does.
    process: Process,
    dir: TempDir,
    product: Product,
    data: Data,
    port: u16,
}

impl Server {
    /// Starts one, and waits until `connect` succeeds with it.
    ///
    /// # Errors
    /// If it does not start, with the end of what it said.
    pub(crate) async fn start<C>(
        product: Product,
        data: Data,
        connect: impl AsyncFn(&Self) -> Result<C, String>,
    ) -> Result<(Self, C), String> {
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            let mut server = Self::spawn(product, data)?;
            match server.ready(&connect).await {
                Ok(client) => return Ok((server, client)),
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }

    fn spawn(product: Product, data: Data) -> Result<Self, String> {
        let program = product.program();
        let program = program.ok_or_else(|| format!("not installed: {}", product.install()))?;
        let dir = data.directory()?;
        let port = free_port()?;
        product.prepare(dir.path(), port)?;
        let arguments = product.arguments(dir.path(), port);
        let ending = product.ending();
        let command = command(program, arguments, product.user(), ending);
        Ok(Self {
            process: Process::start(command, &dir.path().join("log"), ending)?,
            dir,
            product,
            data,
            port,
        })
    }

    async fn ready<C>(
        &mut self,
        connect: &impl AsyncFn(&Self) -> Result<C, String>,
    ) -> Result<C, String> {
        let began = Instant::now();
        loop {
            // Whether anybody listens is asked first: not every client gives up by itself.
            let why = match TcpStream::connect(self.address()) {
                Ok(_) => match connect(self).await {
                    Ok(client) => return Ok(client),
                    Err(why) => why,
                },
                Err(error) => error.to_string(),
            };
            if !self.process.runs() || began.elapsed() >= PATIENCE {
                let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                let said: Vec<_> = log.lines().rev().take(10).collect();
                let said = said.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(format!("{:?} does not start: {why}\n{said}", self.product));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> String {
        address(self.port)
    }

    /// The memory that it uses, in bytes.
    pub(crate) fn memory(&self) -> Result<u64, String> {
        self.process.memory()
    }

    /// What it says about its version, shortened to a line.
    pub(crate) fn version(&self) -> Result<String, String> {
        let text = match self.product {
            Product::Zookeeper => self.four_letters("srvr")?,
            product => {
                let program = product.program().ok_or("it has gone")?;
                let output = Command::new(program).arg("--version").output();
                let output = output.map_err(failed("no version"))?;
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
        };
        let line = text.lines().next().unwrap_or_default();
        let number = |word: &&str| {
            let word = word.trim_start_matches("v=");
            word.starts_with(|first: char| first.is_ascii_digit())
        };
        let word = line.split_whitespace().find(number).unwrap_or(line);
        let word = word.trim_start_matches("v=").trim_end_matches(',');
        // ZooKeeper adds what it was built from.
        Ok(word.split('-').next().unwrap_or(word).to_owned())
    }

    /// What matters of its settings.
    pub(crate) fn settings(&self) -> String {
        let place = match self.data {
            Data::Disk => "files on disk",
            Data::Memory => "files in memory",
        };
        match self.product {
            Product::Rmd => {
                "lease 15 s; locks in memory; the epoch on disk, synchronised at the start".into()
            }
            Product::Etcd => format!("{place}; one member; every change synchronised before the answer; lease 60 s"),
            Product::Redis => format!("{place}; snapshots as by default; no append-only file, so nothing is synchronised"),
            Product::Zookeeper => {
                format!("{place}; one server; every change synchronised before the answer; heap at most 1,000 MB")
            }
            Product::Postgres => {
                "locks in shared memory: nothing is written; max_locks_per_transaction = 2048 (by default 64); TCP".into()
            }
        }
    }

    /// What ZooKeeper answers to a word of four letters.
    fn four_letters(&self, word: &str) -> Result<String, String> {
        let mut stream = TcpStream::connect(self.address()).map_err(failed("zookeeper"))?;
        stream
            .write_all(word.as_bytes())
            .map_err(failed("zookeeper"))?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .map_err(failed("zookeeper"))?;
        Ok(answer)
    }
}

fn etcd(dir: &Path, port: u16) -> Vec<OsString> {
    let client = format!("http://127.0.0.1:{port}");
    // It has no peers, but wants an address for them.
    let peer = "http://127.0.0.1:0";
    let mut all: Vec<OsString> = vec!["--data-dir".into(), dir.join("data").into()];
    let words = [
        ("--name", "peers"),
        ("--listen-client-urls", &client),
        ("--advertise-client-urls", &client),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", peer),
        ("--initial-cluster", &format!("peers={peer}")),
        ("--logger", "zap"),
        ("--log-level", "error"),
    ];
    for (name, value) in words {
        all.extend([name.into(), value.into()]);
    }
    all
}

/// PostgreSQL's files. It refuses to be root's, so they are nobody's then.
fn make_cluster(dir: &Path) -> Result<(), String> {
    let user = User::NotRoot;
    if user.changes() {
        let nobody = Some(NOBODY);
        std::os::unix::fs::chown(dir, nobody, nobody).map_err(failed("postgres"))?;
    }
    let program = Product::Postgres.program();
    let folder = program.and_then(|it| Some(it.canonicalize().ok()?.parent()?.to_owned()));
    let beside = folder.map(|folder| folder.join("initdb"));
    let initdb = beside
        .filter(|it| it.is_file())
        .or_else(|| on_path("initdb"));
    let initdb =
        initdb.ok_or("initdb is not installed beside postgres: apt-get install postgresql")?;
    let mut args: Vec<OsString> = vec!["-D".into(), dir.join("data").into()];
    args.extend(["-U", "postgres", "-A", "trust", "--locale=C", "--no-sync"].map(OsString::from));
    let output = command(initdb, args, user, Ending::Killed).output();
    let output = output.map_err(failed("postgres: cannot run initdb"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("postgres: initdb failed: {}", said.trim()))
}

/// Debian keeps them apart by version, and off the path.
fn newest_postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let programs = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let program = version.path().join("bin/postgres");
        program.is_file().then_some((number, program))
    });
    programs.max().map(|(_, program)| program)
}

/// What ZooKeeper needs; its jar names the others.
fn class_path() -> Option<OsString> {
    let packaged = Path::new("/usr/share/java/zookeeper.jar");
    let packaged = || packaged.is_file().then(|| packaged.into());
    env::var_os("RM_ZOOKEEPER_CLASSPATH").or_else(packaged)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|dir| dir.join(program));
    found.into_iter().find(|program| program.is_file())
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed("no port is free"))?;
    let address = listener.local_addr().map_err(failed("no port is free"))?;
    Ok(address.port())
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
