//! A real etcd for tests: one server in a directory of its own, on ports that were free.
//!
//! The program is `etcd` on the path, or what `RM_ETCD` names; `etcdctl` beside it. Where there is none, a test says so and
//! passes, but not under `CI`.
//!
//! It panics where a test could not go on. A server dies with its [`Etcd`].

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::env;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A server is up within this, or never.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often other ports are tried, where somebody else took them in between.
const ATTEMPTS: u32 = 5;

/// A running server of etcd.
#[derive(Debug)]
pub struct Etcd {
    dir: TempDir,
    scheme: &'static str,
    flags: Vec<OsString>,
    client: u16,
    peer: u16,
    child: Child,
}

impl Etcd {
    /// A server, or `None` where there is no etcd.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with("http", &[])
    }

    /// A server that speaks TLS, with that certificate, and asks its clients for one that `ca` signed.
    #[must_use]
    pub fn start_tls(ca: &Path, certificate: &Path, key: &Path) -> Option<Self> {
        let flags: [OsString; 7] = [
            "--cert-file".into(),
            certificate.into(),
            "--key-file".into(),
            key.into(),
            "--trusted-ca-file".into(),
            ca.into(),
            "--client-cert-auth".into(),
        ];
        Self::start_with("https", &flags)
    }

    fn start_with(scheme: &'static str, flags: &[OsString]) -> Option<Self> {
        if Command::new(program()).arg("--version").output().is_err() {
            assert!(
                env::var_os("CI").is_none(),
                "no etcd: install etcd-server (Debian) or set RM_ETCD"
            );
            eprintln!("skipped: no etcd: install etcd-server (Debian) or set RM_ETCD");
            return None;
        }
        for _ in 0..ATTEMPTS {
            let dir = tempfile::tempdir().expect("a directory");
            let (client, peer) = free_ports();
            let child = spawn(dir.path(), scheme, flags, client, peer);
            let mut etcd = Self {
                dir,
                scheme,
                flags: flags.to_vec(),
                client,
                peer,
                child,
            };
            if etcd.wait() {
                return Some(etcd);
            }
        }
        panic!(
            "etcd does not start: run `{} --version`",
            program().display()
        );
    }

    /// Where it listens, as host and port.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.client)
    }

    /// Stops its process in the midst of whatever it does.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Starts it again, on its directory and ports.
    pub fn start_again(&mut self) {
        self.child = spawn(
            self.dir.path(),
            self.scheme,
            &self.flags,
            self.client,
            self.peer,
        );
        assert!(self.wait(), "etcd does not start again");
    }

    /// What `etcdctl` prints for these arguments.
    #[must_use]
    pub fn ctl(&self, arguments: &[&str]) -> String {
        self.ctl_with_input(arguments, "")
    }

    /// The same, where it reads something.
    #[must_use]
    pub fn ctl_with_input(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(control())
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.endpoint()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcdctl is beside etcd");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("read");
        drop(stdin);
        let output = child.wait_with_output().expect("ended");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The sum of those of its counters whose names begin like that.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(self.endpoint()).expect("it listens");
        let request = b"GET /metrics HTTP/1.0\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let lines = text.lines().filter(|line| line.starts_with(name));
        let number = |line: &str| {
            line.rsplit(' ')
                .next()
                .and_then(|it| it.parse::<f64>().ok())
        };
        lines.filter_map(number).sum()
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process");
        kill_process(Pid::from_raw(id).expect("a process"), signal).expect("its own child");
    }

    /// Waits until it listens. Returns whether it does.
    fn wait(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.child.try_wait().expect("a child").is_some() {
                return false;
            }
            if TcpStream::connect(self.endpoint()).is_ok() {
                return true;
            }
            thread::sleep(LOOK);
        }
        false
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    env::var_os("RM_ETCD").map_or_else(|| "etcd".into(), PathBuf::from)
}

fn control() -> PathBuf {
    let program = program();
    let folder = program.parent().filter(|it| !it.as_os_str().is_empty());
    folder.map_or_else(|| "etcdctl".into(), |folder| folder.join("etcdctl"))
}

/// Two ports that nobody has at the moment.
fn free_ports() -> (u16, u16) {
    let one = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
    (port(&one), port(&other))
}

fn spawn(dir: &Path, scheme: &str, flags: &[OsString], client: u16, peer: u16) -> Child {
    let client = format!("{scheme}://127.0.0.1:{client}");
    let peer = format!("http://127.0.0.1:{peer}");
    Command::new(program())
        .args(["--name", "one", "--logger", "zap", "--log-level", "error"])
        .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
        .arg("--data-dir")
        .arg(dir.join("data"))
        .args(["--listen-client-urls", &client])
        .args(["--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("one={peer}")])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("etcd starts")
}
