//! Faults on the link between two hosts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::rng::Rng;

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
    /// Packets are lost by chance, which the seed decides: a datagram or an echo for good; a turn of a connection, or its beginning, until it is
    /// sent again, after 200 ms or a second and then after twice as long each time (RFC 6298 with Linux's lower bound).
    Loss {
        /// How many of a thousand.
        per_mille: u16,
    },
}

/// How long a connection waits before it sends again: what has been said, and the first packet (RFC 6298, section 2).
pub(crate) const RESEND_TURN: Duration = Duration::from_millis(200);
pub(crate) const RESEND_FIRST: Duration = Duration::from_secs(1);
/// The longest wait, and how often a packet is sent again: after that it arrives, for whoever has a limit has long given up.
const RESEND_MAX: Duration = Duration::from_secs(120);
const RESENDS_MAX: u32 = 15;

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
    /// Decides which packets are lost; none before the first is asked for.
    dice: Option<Rng>,
    seed: u64,
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
    /// A table whose losses that seed decides.
    pub(crate) fn seeded(seed: u64) -> Self {
        let links = Self::default();
        links.lock().seed = seed;
        links
    }

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
                // What is lost is asked for packet by packet.
                LinkFault::Loss { .. } => {}
            }
        }
        match (held, delay) {
            (true, _) => LinkVerdict::Hold,
            (false, Duration::ZERO) => LinkVerdict::Deliver,
            (false, delay) => LinkVerdict::Delay(delay),
        }
    }

    /// Whether the next packet from `from` to `to` is lost.
    pub(crate) fn loses(&self, from: &str, to: &str) -> bool {
        if self.active.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut table = self.lock();
        let matches = |own: &str, host: &str| own == ANY || own == host;
        let arrives: f64 = table
            .rules
            .iter()
            .filter(|rule| matches(&rule.from, from) && matches(&rule.to, to))
            .map(|rule| match rule.fault {
                LinkFault::Loss { per_mille } => 1.0 - f64::from(per_mille.min(1000)) / 1000.0,
                _ => 1.0,
            })
            .product();
        if arrives >= 1.0 {
            return false;
        }
        let seed = table.seed;
        let dice = table
            .dice
            .get_or_insert_with(|| Rng::named(seed, "packet loss"));
        !dice.chance(arrives)
    }

    /// How much later a packet of a connection arrives because it was lost, where the first wait is `wait`.
    pub(crate) fn resending(&self, from: &str, to: &str, mut wait: Duration) -> Duration {
        let mut late = Duration::ZERO;
        for _ in 0..RESENDS_MAX {
            if !self.loses(from, to) {
                break;
            }
            late += wait;
            wait = (wait * 2).min(RESEND_MAX);
        }
        late
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

    #[test]
    fn the_seed_decides_what_is_lost() {
        let lost = |seed, per_mille| -> Vec<bool> {
            let links = Links::seeded(seed);
            assert!(!links.loses("a", "b"));
            let _loss = links.install("a", "*", LinkFault::Loss { per_mille });
            assert_eq!(links.verdict("a", "b"), LinkVerdict::Deliver);
            assert!(!links.loses("b", "a"));
            (0..1000).map(|_| links.loses("a", "b")).collect()
        };
        let some = lost(1, 300);
        let count = some.iter().filter(|it| **it).count();
        assert!((250..350).contains(&count), "{count}");
        assert_eq!(some, lost(1, 300));
        assert_ne!(some, lost(2, 300));
        assert!(lost(1, 1000).into_iter().all(|it| it));
        assert!(!lost(1, 0).contains(&true));
    }

    #[test]
    fn what_is_sent_again_is_late() {
        let links = Links::seeded(1);
        assert_eq!(links.resending("a", "b", RESEND_TURN), Duration::ZERO);
        let _all = links.install("a", "b", LinkFault::Loss { per_mille: 1000 });
        // 0.2, 0.4 ... 102.4 s, and then 120 s five times.
        let late = links.resending("a", "b", RESEND_TURN);
        assert_eq!(late, Duration::from_millis(204_600 + 5 * 120_000));
    }
}
