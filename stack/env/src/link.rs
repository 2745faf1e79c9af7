//! Faults on the link between two hosts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// Nothing gets through, silently: new connections hang, existing ones stall until the repair.
    Partition,
    /// New connections are refused and existing ones are reset.
    Refuse,
    /// Every turn of the conversation (a write that follows a read) is delayed.
    Latency {
        /// By how much.
        latency: Duration,
    },
}

/// What happens to the bytes that want to cross a link now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkVerdict {
    /// They cross at once.
    Deliver,
    /// They cross after this time.
    Delay(Duration),
    /// They wait for the repair.
    Hold,
    /// The connection ends.
    Reset,
}

/// The table of faults in force. A clone is the same table.
#[derive(Clone, Default)]
pub(crate) struct Links {
    /// The number of rules, so that the common case costs one load.
    active: Arc<AtomicUsize>,
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    rules: Vec<Rule>,
    next_id: u64,
    waiting: Vec<Waker>,
}

struct Rule {
    id: u64,
    from: String,
    to: String,
    fault: LinkFault,
}

/// The name that stands for every host.
const ANY: &str = "*";

impl Links {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn install(&self, from: &str, to: &str, fault: LinkFault) -> LinkGuard {
        let mut table = self.lock();
        let id = table.next_id;
        table.next_id += 1;
        table.rules.push(Rule {
            id,
            from: from.to_owned(),
            to: to.to_owned(),
            fault,
        });
        self.changed(&mut table);
        LinkGuard {
            links: self.clone(),
            id,
        }
    }

    fn remove(&self, id: u64) {
        let mut table = self.lock();
        table.rules.retain(|rule| rule.id != id);
        self.changed(&mut table);
    }

    fn changed(&self, table: &mut Table) {
        self.active.store(table.rules.len(), Ordering::Release);
        table.waiting.drain(..).for_each(Waker::wake);
    }

    /// The verdict for bytes from `from` to `to`: the hardest of the rules that match, latencies added up.
    pub(crate) fn verdict(&self, from: &str, to: &str) -> LinkVerdict {
        if self.active.load(Ordering::Acquire) == 0 {
            return LinkVerdict::Deliver;
        }
        let table = self.lock();
        let matches = |own: &str, host: &str| own == ANY || own == host;
        let mut delay = Duration::ZERO;
        let mut held = false;
        for rule in table
            .rules
            .iter()
            .filter(|rule| matches(&rule.from, from) && matches(&rule.to, to))
        {
            match rule.fault {
                LinkFault::Refuse => return LinkVerdict::Reset,
                LinkFault::Partition => held = true,
                LinkFault::Latency { latency } => delay += latency,
            }
        }
        match (held, delay) {
            (true, _) => LinkVerdict::Hold,
            (false, Duration::ZERO) => LinkVerdict::Deliver,
            (false, delay) => LinkVerdict::Delay(delay),
        }
    }

    /// Wakes the task of `context` when the table changes.
    pub(crate) fn wait_for_change(&self, context: &Context<'_>) {
        let mut table = self.lock();
        if !table
            .waiting
            .iter()
            .any(|waker| waker.will_wake(context.waker()))
        {
            table.waiting.push(context.waker().clone());
        }
    }

    /// Resolves when the verdict is no longer [`LinkVerdict::Hold`].
    pub(crate) async fn repaired(&self, from: &str, to: &str) {
        std::future::poll_fn(|context| {
            if self.verdict(from, to) == LinkVerdict::Hold {
                self.wait_for_change(context);
                std::task::Poll::Pending
            } else {
                std::task::Poll::Ready(())
            }
        })
        .await;
    }
}

/// Keeps a link fault in force.
#[must_use = "dropping the guard repairs the link"]
pub struct LinkGuard {
    links: Links,
    id: u64,
}

impl Drop for LinkGuard {
    fn drop(&mut self) {
        self.links.remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardest_rule_wins_and_guards_undo_themselves() {
        let links = Links::default();
        assert_eq!(links.verdict("a", "b"), LinkVerdict::Deliver);
        let slow = links.install(
            "a",
            "b",
            LinkFault::Latency {
                latency: Duration::from_millis(5),
            },
        );
        let slower = links.install(
            "*",
            "b",
            LinkFault::Latency {
                latency: Duration::from_millis(7),
            },
        );
        assert_eq!(
            links.verdict("a", "b"),
            LinkVerdict::Delay(Duration::from_millis(12))
        );
        assert_eq!(links.verdict("a", "c"), LinkVerdict::Deliver);
        let cut = links.install("a", "*", LinkFault::Partition);
        assert_eq!(links.verdict("a", "b"), LinkVerdict::Hold);
        drop((slow, slower, cut));
        assert_eq!(links.verdict("a", "b"), LinkVerdict::Deliver);
    }
}
