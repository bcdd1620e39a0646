//! Three daemons as processes, and their etcd. All of them end with it.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rm_core::id::{ResourceKey, TypeId};
use rm_core::view::View;
use rm_net::Client;
use rm_net::testing::Etcd;
use serde_json::Value;

/// The member that is killed.
pub(crate) const VICTIM: &str = "c";
const NAMES: [&str; 3] = ["a", "b", VICTIM];
/// The type of RW locks.
const RW: TypeId = TypeId(1);
/// The cluster is there within this, or never.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often something is looked at.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) struct Servers {
    etcd: Etcd,
    members: Vec<Server>,
}

struct Server {
    name: &'static str,
    process: Child,
    address: String,
}

impl Servers {
    /// # Errors
    /// Where there is no etcd, or `rmd` does not start.
    pub(crate) fn start(lease: Duration) -> Result<Self, String> {
        let etcd = Etcd::start().ok_or("this needs etcd")?;
        let start = |name| Server::start(name, &etcd.endpoint(), lease);
        let members = NAMES.into_iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { etcd, members })
    }

    /// A client that knows all of them.
    pub(crate) async fn client(&self, name: &str) -> Result<Client, String> {
        let began = Instant::now();
        loop {
            let client = Client::builder().name(name);
            let client = client.endpoint(&self.members[0].address).connect().await;
            if let Ok(client) = &client {
                while began.elapsed() < PATIENCE {
                    let view = client.domain().view();
                    if view.is_some_and(|view| view.members().len() == NAMES.len()) {
                        return Ok(client.clone());
                    }
                    tokio::time::sleep(LOOK).await;
                }
            }
            if began.elapsed() >= PATIENCE {
                let why = client.err().map(|error| error.to_string());
                return Err(why.unwrap_or_else(|| "they do not become one cluster".into()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Kills a member, by a signal that it cannot catch.
    pub(crate) fn kill(&mut self, name: &str) {
        let member = self.members.iter_mut().find(|member| member.name == name);
        member.expect("it is one of them").kill();
    }

    /// How many requests etcd answers in a second while that lasts.
    pub(crate) async fn load_while(&self, work: impl Future<Output = ()>) -> f64 {
        let answered = || self.etcd.metric("grpc_server_handled_total");
        let (before, began) = (answered(), Instant::now());
        work.await;
        (answered() - before) / began.elapsed().as_secs_f64()
    }
}

impl Server {
    fn start(name: &'static str, etcd: &str, lease: Duration) -> Result<Self, String> {
        let own = env::current_exe().map_err(|error| error.to_string())?;
        let program = own.with_file_name("rmd");
        let mut process = Command::new(&program)
            .args(["--json", "--log", "off", "--name", name])
            .args(["--listen", "127.0.0.1:0"])
            .args(["--lease", &format!("{}ms", lease.as_millis())])
            .args(["--coordinator", &format!("etcd={etcd}")])
            .args(["--cluster", "bench"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        let read = output.read_line(&mut line);
        let said: Option<Value> = read.ok().and_then(|_| serde_json::from_str(&line).ok());
        let address = said.and_then(|said| Some(said["address"].as_str()?.to_owned()));
        let mut server = Self {
            name,
            process,
            address: String::new(),
        };
        server.address = address.ok_or_else(|| {
            server.kill();
            format!("rmd does not say where it listens, but {line:?}")
        })?;
        Ok(server)
    }

    fn kill(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The name of a lock.
pub(crate) fn name(kind: &str, number: usize) -> String {
    format!("{kind}/{number}")
}

/// The names whose root that member is, as the client knows it now.
pub(crate) fn names_of(
    client: &Client,
    member: &str,
    kind: &'static str,
    numbers: impl Iterator<Item = usize>,
) -> impl Iterator<Item = String> {
    let view = client.domain().view().expect("it knows all members");
    let member = member.to_owned();
    let names = numbers.map(move |number| name(kind, number));
    names.filter(move |name| root_in(&view, name) == member.as_bytes())
}

fn root_in<'v>(view: &'v View, lock: &str) -> &'v [u8] {
    let key = ResourceKey::new(lock.as_bytes()).expect("a short name");
    view.root(RW, &key).map_or(&[], |member| &member.name)
}
