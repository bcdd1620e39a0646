//! Nodes that wind up in the middle of a run: nothing new is granted there or below, and all credit goes home.

use super::act::Phase;
use super::oracle::Fault;
use super::world::{Cause, World};
use crate::credit::Credit;
use crate::id::Class;
use crate::resource::ResourceType;

/// In orders of wind-ups, where requests name their client.
pub(super) const NO_CLIENT: u32 = u32::MAX;

impl<T: ResourceType> World<'_, T> {
    pub(super) fn wind_up(&mut self, node: usize) -> Result<usize, Fault> {
        self.note(|_| format!("node {node} winds up"));
        let seq = (node as u64) << 32 | u64::from(NO_CLIENT);
        let order = self.order_at(node, Class::New, seq);
        self.alone = None;
        let cause = Cause { hops: 0, group: 0 };
        self.input(node, cause, |owner, now, fx| owner.wind_up(now, order, fx))?;
        Ok(node)
    }

    /// Whether a node winds up, or one between it and the root.
    pub(super) fn winds_up_above(&self, node: usize) -> bool {
        let mut path = self.plan.tree.path(node);
        path.any(|above| {
            let owner = self.nodes[above].owner.as_ref();
            owner.is_some_and(|owner| owner.is_winding_up())
        })
    }

    /// Nothing is under way: an owner that winds up is done, unless somebody holds there or below; and it keeps
    /// nothing that is free.
    pub(super) fn check_wind_ups(&self) -> Result<(), Fault> {
        for &(node, _) in &self.plan.wind_ups {
            let node = node as usize;
            let owner = self.nodes[node].owner.as_ref();
            let owner = owner.filter(|owner| owner.is_winding_up() && !owner.is_wound_up());
            let Some(owner) = owner else {
                continue;
            };
            let is_held = self.clients.iter().any(|client| {
                matches!(client.phase, Phase::Converting | Phase::Holding)
                    && self
                        .plan
                        .tree
                        .path(client.node as usize)
                        .any(|above| above == node)
            });
            if !is_held {
                return Err(Fault(format!(
                    "all is quiet, and node {node} is not wound up"
                )));
            }
            if node != 0 && !owner.is_recalled() && !owner.cached().is_empty() {
                return Err(Fault(format!(
                    "all is quiet, and node {node} winds up and keeps {:?}, which is free",
                    owner.cached()
                )));
            }
        }
        Ok(())
    }
}
