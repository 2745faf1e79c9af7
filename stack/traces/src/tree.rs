//! Who is whose parent in a stored trace.

use gameday_signal::{FixedMap, SpanId, SpanKind};

use crate::members::Members;
use crate::traceql::ast::Relation;

/// The tree of a trace's spans, numbered by their place in time. Spans whose parent has not come are roots of their own trees, and
/// so is one span of each cycle.
pub(crate) struct TraceTree {
    parents: Vec<Option<u32>>,
    child_counts: Vec<u32>,
    /// Parents before their children.
    order: Vec<u32>,
    nested: Vec<(i64, i64)>,
    /// Whether the span has no parent id at all.
    is_root: Vec<bool>,
}

impl TraceTree {
    /// Builds the tree of spans given as own id, parent's id and kind.
    pub(crate) fn new(spans: &[(SpanId, SpanId, SpanKind)]) -> Self {
        let mut by_id: FixedMap<SpanId, u32> = FixedMap::default();
        for (index, (id, _, kind)) in spans.iter().enumerate() {
            // A client and its server may share an id (Zipkin): the server is the parent of what follows.
            let entry = by_id.entry(*id).or_insert(index as u32);
            if *kind == SpanKind::Server {
                *entry = index as u32;
            }
        }
        let mut parents: Vec<Option<u32>> = spans
            .iter()
            .enumerate()
            .map(|(index, (_, parent, _))| {
                by_id
                    .get(parent)
                    .copied()
                    .filter(|found| !parent.is_none() && *found != index as u32)
            })
            .collect();
        cut_cycles(&mut parents);
        let mut child_counts = vec![0; spans.len()];
        for parent in parents.iter().flatten() {
            child_counts[*parent as usize] += 1;
        }
        let (order, nested) = number(&parents, &child_counts);
        let is_root = spans
            .iter()
            .map(|(_, parent, _)| parent.is_none())
            .collect();
        Self {
            parents,
            child_counts,
            order,
            nested,
            is_root,
        }
    }

    /// The parent of the span at `index`, where it has come.
    pub(crate) fn parent(&self, index: usize) -> Option<usize> {
        self.parents[index].map(|parent| parent as usize)
    }

    /// All spans, parents before their children, depth first.
    pub(crate) fn order(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.order.iter().map(|index| *index as usize)
    }

    pub(crate) fn child_count(&self, index: usize) -> i64 {
        i64::from(self.child_counts[index])
    }

    pub(crate) fn nested_set_left(&self, index: usize) -> i64 {
        self.nested[index].0
    }

    pub(crate) fn nested_set_right(&self, index: usize) -> i64 {
        self.nested[index].1
    }

    /// The left number of the parent; -1 for a root, 0 where the parent has not come.
    pub(crate) fn nested_set_parent(&self, index: usize) -> i64 {
        match self.parents[index] {
            Some(parent) => self.nested[parent as usize].0,
            None if self.is_root[index] => -1,
            None => 0,
        }
    }

    /// Which spans have `relation` to a span of `others`.
    pub(crate) fn related(&self, relation: Relation, others: &Members) -> Members {
        let mut found = Members::default();
        match relation {
            Relation::Child => {
                for (index, parent) in self.parents.iter().enumerate() {
                    if parent.is_some_and(|parent| others.has(parent as usize)) {
                        found.add(index);
                    }
                }
            }
            Relation::Parent => {
                for (index, parent) in self.parents.iter().enumerate() {
                    if let Some(parent) = parent
                        && others.has(index)
                    {
                        found.add(*parent as usize);
                    }
                }
            }
            Relation::Descendant => {
                for index in &self.order {
                    if let Some(parent) = self.parents[*index as usize]
                        && (others.has(parent as usize) || found.has(parent as usize))
                    {
                        found.add(*index as usize);
                    }
                }
            }
            Relation::Ancestor => {
                for index in self.order.iter().rev() {
                    if let Some(parent) = self.parents[*index as usize]
                        && (others.has(*index as usize) || found.has(*index as usize))
                    {
                        found.add(parent as usize);
                    }
                }
            }
            Relation::Sibling => {
                let mut counts = vec![0u32; self.parents.len()];
                for (index, parent) in self.parents.iter().enumerate() {
                    if let Some(parent) = parent
                        && others.has(index)
                    {
                        counts[*parent as usize] += 1;
                    }
                }
                for (index, parent) in self.parents.iter().enumerate() {
                    if let Some(parent) = parent
                        && counts[*parent as usize] > u32::from(others.has(index))
                    {
                        found.add(index);
                    }
                }
            }
        }
        found
    }
}

/// Takes the parent away from one span of each cycle.
fn cut_cycles(parents: &mut [Option<u32>]) {
    // 0: not seen, otherwise the number of the walk that has seen it.
    let mut seen = vec![0u32; parents.len()];
    for start in 0..parents.len() {
        let walk = start as u32 + 1;
        let mut at = start;
        while seen[at] == 0 {
            seen[at] = walk;
            match parents[at] {
                Some(parent) if seen[parent as usize] == walk => {
                    parents[at] = None;
                }
                Some(parent) => at = parent as usize,
                None => break,
            }
        }
    }
}

/// Parents before children, and the numbers of the nested set: a span encloses those whose numbers lie between its own.
fn number(parents: &[Option<u32>], child_counts: &[u32]) -> (Vec<u32>, Vec<(i64, i64)>) {
    // The children of all spans in one list, by the prefix sums of their counts.
    let mut starts = Vec::with_capacity(parents.len() + 1);
    let mut total = 0;
    for count in child_counts {
        starts.push(total);
        total += *count as usize;
    }
    let mut next = starts.clone();
    let mut children = vec![0u32; total];
    for (index, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[next[*parent as usize]] = index as u32;
            next[*parent as usize] += 1;
        }
    }
    let mut order = Vec::with_capacity(parents.len());
    let mut nested = vec![(0, 0); parents.len()];
    let mut counter = 0;
    let mut stack: Vec<(u32, usize)> = Vec::new();
    for root in (0..parents.len()).filter(|index| parents[*index].is_none()) {
        stack.push((root as u32, 0));
        while let Some((index, done)) = stack.pop() {
            let place = index as usize;
            if done == 0 {
                counter += 1;
                nested[place].0 = counter;
                order.push(index);
            }
            if done < child_counts[place] as usize {
                stack.push((index, done + 1));
                stack.push((children[starts[place] + done], 0));
            } else {
                counter += 1;
                nested[place].1 = counter;
            }
        }
    }
    (order, nested)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(parents: &[u8]) -> TraceTree {
        let spans: Vec<_> = parents
            .iter()
            .enumerate()
            .map(|(index, parent)| {
                let id = |number: u8| SpanId([number, 0, 0, 0, 0, 0, 0, 0]);
                (id(index as u8 + 1), id(*parent), SpanKind::Internal)
            })
            .collect();
        TraceTree::new(&spans)
    }

    fn related(tree: &TraceTree, relation: Relation, others: &[usize]) -> Vec<usize> {
        let mut members = Members::default();
        others.iter().for_each(|index| members.add(*index));
        tree.related(relation, &members).iter().collect()
    }

    #[test]
    fn relations() {
        // 1 -> (2 -> (4, 5), 3)
        let tree = tree(&[0, 1, 1, 2, 2]);
        assert_eq!(related(&tree, Relation::Child, &[0]), [1, 2]);
        assert_eq!(related(&tree, Relation::Descendant, &[0]), [1, 2, 3, 4]);
        assert_eq!(related(&tree, Relation::Parent, &[3]), [1]);
        assert_eq!(related(&tree, Relation::Ancestor, &[3]), [0, 1]);
        assert_eq!(related(&tree, Relation::Sibling, &[3]), [4]);
        assert_eq!(related(&tree, Relation::Sibling, &[3, 4]), [3, 4]);
        assert_eq!(related(&tree, Relation::Sibling, &[0]), [0usize; 0]);
        assert_eq!(
            (
                tree.nested_set_left(0),
                tree.nested_set_right(0),
                tree.nested_set_parent(0)
            ),
            (1, 10, -1)
        );
        assert_eq!(tree.child_count(1), 2);
    }

    #[test]
    fn cycles_and_orphans_end() {
        let cycle = tree(&[2, 1, 3, 9]);
        assert_eq!(
            related(&cycle, Relation::Descendant, &[0, 1, 2, 3]).len(),
            1
        );
        assert_eq!(cycle.nested_set_parent(3), 0);
        let chain: Vec<u8> = (0..=250).collect();
        assert_eq!(
            related(&tree(&chain), Relation::Descendant, &[0]).len(),
            250
        );
    }
}
