//! ZooKeeper: the recipe of Curator's `InterProcessReadWriteLock`.
//!
//! Each request is an ephemeral sequential node below the lock's. A writer waits for the node just before its own, a reader for
//! the first writer before its own; who waits watches that node, and looks at all of them again when it changes. The node
//! of a lock is a container, made when it is first used.

use zookeeper_client::{Acls, Client, CreateMode, Error};

use crate::peer::{Mode, Peer, failed};

/// Below it are the nodes of locks.
const ROOT: &str = "/locks";
const READ: &str = "__READ__";
const WRITE: &str = "__WRIT__";

/// One session.
#[derive(Debug)]
pub(crate) struct ZooKeeper {
    client: Client,
    /// Makes the names of requests different from other sessions'.
    session: String,
}

impl ZooKeeper {
    pub(crate) async fn connect(address: &str) -> Result<Self, String> {
        let client = Client::connect(address)
            .await
            .map_err(failed("zookeeper"))?;
        let session = client.session_id().to_string();
        make(&client, ROOT).await?;
        Ok(Self { client, session })
    }

    /// A request's node; returns its name.
    async fn ask(&self, lock: &str, kind: &str) -> Result<String, String> {
        let prefix = format!("_c_{}-lock-{kind}", self.session);
        let path = format!("{lock}/{prefix}");
        let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        loop {
            match self.client.create(&path, b"", &options).await {
                Ok((_, number)) => return Ok(format!("{prefix}{number}")),
                Err(Error::NoNode) => make(&self.client, lock).await?,
                Err(error) => return Err(failed("zookeeper")(error)),
            }
        }
    }

    /// Waits until that node changes. Returns at once where it is gone.
    async fn wait_for(&self, path: &str) -> Result<(), String> {
        match self.client.get_and_watch_data(path).await {
            Ok((_, _, watcher)) => {
                watcher.changed().await;
                Ok(())
            }
            Err(Error::NoNode) => Ok(()),
            Err(error) => Err(failed("zookeeper")(error)),
        }
    }
}

impl Peer for ZooKeeper {
    type Lock = String;
    type Guard<'l> = String;

    fn lock(&self, name: &str) -> String {
        format!("{ROOT}/{name}")
    }

    async fn acquire(&self, lock: &String, mode: Mode) -> Result<String, String> {
        let kind = match mode {
            Mode::Read => READ,
            Mode::Write => WRITE,
        };
        let own = self.ask(lock, kind).await?;
        loop {
            let children = self.client.list_children(lock).await;
            let children = children.map_err(failed("zookeeper"))?;
            match in_the_way(children, &own, mode)? {
                None => return Ok(format!("{lock}/{own}")),
                Some(other) => self.wait_for(&format!("{lock}/{other}")).await?,
            }
        }
    }

    async fn release(&self, guard: Self::Guard<'_>) -> Result<(), String> {
        self.client
            .delete(&guard, None)
            .await
            .map_err(failed("zookeeper"))
    }
}

/// Makes a container, unless there is one.
async fn make(client: &Client, path: &str) -> Result<(), String> {
    let options = CreateMode::Container.with_acls(Acls::anyone_all());
    match client.create(path, b"", &options).await {
        Ok(_) | Err(Error::NodeExists) => Ok(()),
        Err(error) => Err(failed("zookeeper")(error)),
    }
}

/// Which of these requests `own` has to wait for, if any.
fn in_the_way(mut requests: Vec<String>, own: &str, mode: Mode) -> Result<Option<String>, String> {
    // The number stands behind the kind, and has as many digits in all of them.
    requests.sort_by(|one, other| number(one).cmp(number(other)));
    let place = requests.iter().position(|request| request == own);
    let place = place.ok_or("zookeeper: a request is gone; did its session end?")?;
    let mut earlier = requests.drain(..place);
    Ok(match mode {
        Mode::Read => earlier.find(|request| request.contains(WRITE)),
        Mode::Write => earlier.next_back(),
    })
}

fn number(request: &str) -> &str {
    request.rsplit("__").next().unwrap_or(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(kinds: &[(&str, u32)]) -> Vec<String> {
        let name = |(kind, number): &(&str, u32)| format!("_c_1-lock-{kind}{number:010}");
        kinds.iter().map(name).collect()
    }

    #[test]
    fn a_reader_waits_for_the_first_writer_before_it_and_for_no_reader() {
        let all = requests(&[(READ, 9), (WRITE, 3), (READ, 1), (WRITE, 5), (WRITE, 11)]);
        let first_writer = Some(all[1].clone());
        assert_eq!(
            in_the_way(all.clone(), &all[0], Mode::Read),
            Ok(first_writer)
        );
        assert_eq!(in_the_way(all.clone(), &all[2], Mode::Read), Ok(None));
    }

    #[test]
    fn a_writer_waits_for_the_one_just_before_it_whatever_that_is() {
        let all = requests(&[(WRITE, 10), (READ, 9), (READ, 8)]);
        let reader = Some(all[1].clone());
        assert_eq!(in_the_way(all.clone(), &all[0], Mode::Write), Ok(reader));
    }

    #[test]
    fn a_request_that_is_gone_holds_nothing() {
        assert!(in_the_way(Vec::new(), "_c_1-lock-__READ__0", Mode::Read).is_err());
    }
}
