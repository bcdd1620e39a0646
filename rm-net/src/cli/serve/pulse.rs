//! Whether the server is alive: its runtime turns, and the locks inside its books can be taken.
//!
//! One look at a time: where one is stuck, whoever comes later waits for it, finds that it takes too long, and leaves
//! no further thread behind. One look answers all who asked before it began, however many they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::Node;

/// Sums over millions of resources take a part of this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks whether a node is alive.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    node: Node,
    /// The number of the last look that ended. Who has the lock looks.
    turn: Arc<Mutex<u64>>,
    /// How many looks have begun.
    begun: Arc<AtomicU64>,
    patience: Duration,
}

impl Pulse {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            node: node.clone(),
            turn: Arc::default(),
            begun: Arc::default(),
            patience: PATIENCE,
        }
    }

    /// Whether it is. Cancel safe: a look that has begun goes on.
    pub(crate) async fn beats(&self) -> bool {
        let look = async {
            // Relaxed: a look that begins later is seen with the lock, or not counted.
            let asked = self.begun.load(Ordering::Relaxed);
            let mut turn = Arc::clone(&self.turn).lock_owned().await;
            if *turn > asked {
                return true;
            }
            let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
            let node = self.node.clone();
            let looked = tokio::task::spawn_blocking(move || {
                drop(node.status());
                *turn = number;
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
    async fn one_look_answers_all_who_asked_before_it_began() {
        let pulse = Pulse::of(&Node::standalone());
        let stuck = Arc::clone(&pulse.turn).lock_owned().await;
        let beats: Vec<_> = (0..100)
            .map(|_| {
                let pulse = pulse.clone();
                tokio::spawn(async move { pulse.beats().await })
            })
            .collect();
        // All have asked by then.
        tokio::task::yield_now().await;
        drop(stuck);
        for beat in beats {
            assert!(beat.await.expect("no panic"));
        }
        assert_eq!(pulse.begun.load(Ordering::Relaxed), 1);
    }

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
