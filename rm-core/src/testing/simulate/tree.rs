//! The tree of owners: who borrows from whom.

/// The most nodes of a tree.
pub const NODES_MAX: usize = 1 << 20;

/// A tree of owners of any depth and arity. Node 0 is the root; a creditor has a smaller number than its debtors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The root is its own.
    creditors: Vec<u32>,
}

impl Tree {
    /// Node 0 alone.
    #[must_use]
    pub fn root() -> Self {
        Self { creditors: vec![0] }
    }

    /// The root and so many debtors of it.
    ///
    /// # Panics
    /// If there are more than [`NODES_MAX`] nodes, as for all that make a tree.
    #[must_use]
    pub fn star(leaves: usize) -> Self {
        (0..leaves).fold(Self::root(), |tree, _| tree.with(0))
    }

    /// The root, and below it so many owners in a row.
    #[must_use]
    pub fn chain(debtors: usize) -> Self {
        (0..debtors).fold(Self::root(), Self::with)
    }

    /// So many nodes, filled level by level, each with up to `arity` debtors.
    ///
    /// # Panics
    /// If `arity` is 0.
    #[must_use]
    pub fn uniform(nodes: usize, arity: usize) -> Self {
        assert!(arity > 0, "a node of a tree has at least one debtor");
        (1..nodes).fold(Self::root(), |tree, node| tree.with((node - 1) / arity))
    }

    /// The same with one more node, of the next number, that borrows from `creditor`.
    ///
    /// # Panics
    /// If there is no node of that number.
    #[must_use]
    pub fn with(mut self, creditor: usize) -> Self {
        let nodes = self.creditors.len();
        assert!(creditor < nodes, "the creditor of a node comes before it");
        assert!(nodes < NODES_MAX, "a tree has at most {NODES_MAX} nodes");
        self.creditors.push(creditor as u32);
        self
    }

    /// How many nodes there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a tree has a root")]
    pub fn len(&self) -> usize {
        self.creditors.len()
    }

    /// From whom a node borrows; the root: itself.
    ///
    /// # Panics
    /// If there is no such node, as for all questions about one.
    #[must_use]
    pub fn creditor(&self, node: usize) -> usize {
        self.creditors[node] as usize
    }

    /// How many links lie between a node and the root.
    #[must_use]
    pub fn depth(&self, node: usize) -> usize {
        self.path(node).count() - 1
    }

    /// How many links lie between two nodes.
    #[must_use]
    pub fn distance(&self, one: usize, other: usize) -> usize {
        // A creditor has a smaller number, so the larger of two nodes is not above the other.
        let (mut one, mut other, mut links) = (one, other, 0);
        while one != other {
            let lower = one.max(other);
            (one, other) = (self.creditor(lower), one.min(other));
            links += 1;
        }
        links
    }

    /// Whether everybody borrows from the root.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.creditors.iter().all(|&creditor| creditor == 0)
    }

    /// How many debtors each node can have.
    pub(super) fn debtors(&self) -> Vec<u32> {
        let mut debtors = vec![0; self.len()];
        for &creditor in &self.creditors[1..] {
            debtors[creditor as usize] += 1;
        }
        debtors
    }

    /// A node and all above it, up to the root.
    pub(super) fn path(&self, node: usize) -> impl Iterator<Item = usize> {
        core::iter::successors(Some(node), |&node| (node != 0).then(|| self.creditor(node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_tree_fills_level_by_level() {
        let tree = Tree::uniform(8, 2);
        let creditors: Vec<usize> = (1..8).map(|node| tree.creditor(node)).collect();
        assert_eq!(creditors, [0, 0, 1, 1, 2, 2, 3]);
        assert_eq!(tree.depth(7), 3);
        assert_eq!(tree.debtors(), [2, 2, 2, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn the_distance_goes_over_the_lowest_owner_above_both() {
        let tree = Tree::uniform(8, 2);
        assert_eq!(tree.distance(7, 7), 0);
        assert_eq!(tree.distance(7, 3), 1);
        assert_eq!(tree.distance(7, 4), 3);
        assert_eq!(tree.distance(7, 6), 5);
    }
}
