//! A node in a runtime of its own, which can end without a word.

use std::mem;

use rm_net::{Node, NodeBuilder};
use tokio::runtime::{Builder, Runtime};

use crate::common::{PATIENCE, count_panics};

/// A node's life.
pub(crate) struct Life {
    pub(crate) node: Node,
    /// Without one, it was killed.
    runtime: Option<Runtime>,
}

impl Life {
    pub(crate) async fn start(builder: NodeBuilder) -> Self {
        count_panics();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let node = runtime.spawn(async move { builder.start().await }).await;
        let node = node.expect("no panic").expect("started");
        let runtime = Some(runtime);
        Self { node, runtime }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.node.local_addr().expect("it listens").to_string()
    }

    /// Ends it without a word to anybody.
    pub(crate) async fn kill(mut self) {
        let runtime = self.runtime.take().expect("it lives");
        let ended = tokio::task::spawn_blocking(move || {
            // Its tasks first: the node says goodbye when nobody uses it.
            runtime.shutdown_timeout(PATIENCE);
            drop(self);
        });
        ended.await.expect("no panic");
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Not by its own drop, which waits, and may not do so in a test.
        if let Some(runtime) = mem::take(&mut self.runtime) {
            runtime.shutdown_background();
        }
    }
}
