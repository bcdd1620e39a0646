//! The server process of the demonstration.

use serde::Serialize;

use super::ServerReady;
use crate::Node;
use crate::cli::args::DemoServerArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{output, stdin};

/// What is printed when it has stopped.
#[derive(Serialize)]
struct Stopped {
    clean: bool,
    loans: u64,
}

pub(crate) async fn run(args: &DemoServerArgs) -> Result<Exit, Failure> {
    let closed = stdin::closed();
    let node = Node::builder()
        .name("demo-server")
        .listen("127.0.0.1:0")
        .data_dir(&args.dir);
    let node = node.start().await?;
    let address = node.local_addr().map(|address| address.to_string());
    let address =
        address.ok_or_else(|| Failure::new(Exit::SYSTEM, "the server does not listen"))?;
    output::line(&output::json(&ServerReady { address }))?;
    // Also where the reading thread is gone: then nobody can tell us to stop any more.
    drop(closed.await);
    let report = node.stop().await;
    output::line(&output::json(&Stopped {
        clean: report.is_clean,
        loans: report.loans,
    }))?;
    Ok(Exit::OK)
}
