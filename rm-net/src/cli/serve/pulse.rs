//! Whether the server is alive: its runtime turns, and the locks inside its books can be taken.
//!
//! One look at a time: where one is stuck, whoever comes later waits for it, finds that it takes too long, and leaves
//! no further thread behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::Node;

/// Sums over millions of resources take a part of this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks whether a node is alive.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    node: Node,
    turn: Arc<Mutex<()>>,
    patience: Duration,
}

impl Pulse {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            node: node.clone(),
            turn: Arc::default(),
            patience: PATIENCE,
        }
    }

    /// Whether it is. Cancel safe: a look that has begun goes on.
    pub(crate) async fn beats(&self) -> bool {
        let look = async {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let node = self.node.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                node.status()
            });
            looked.await.is_ok()
        };
        tokio::time::timeout(self.patience, look)
            .await
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_is_alive_but_while_a_look_at_it_is_stuck() {
        let mut pulse = Pulse::of(&Node::standalone());
        assert!(pulse.beats().await);
        pulse.patience = Duration::from_millis(1);
        let stuck = Arc::clone(&pulse.turn).lock_owned().await;
        assert!(!pulse.beats().await);
        drop(stuck);
        pulse.patience = PATIENCE;
        assert!(pulse.beats().await);
    }
}
