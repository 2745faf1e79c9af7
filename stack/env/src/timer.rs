//! Timers of virtual time.
//!
//! Time passes when nothing can run: the runtime is about to rest, [`Timers::pass`] sets the clock to the earliest timer and wakes
//! whoever waits for it. Timers of the same millisecond wake in the order in which they were first waited for.
//!
//! The runtime could do this by itself (tokio's paused clock), but it takes the setting of a timer that is earlier than all others
//! for news from outside: it then rests once in vain before it lets time pass, which was every second rest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::net::locked;

/// Virtual time, and who waits for it.
#[derive(Debug)]
pub(crate) struct Timers {
    /// Milliseconds that have passed.
    passed_ms: AtomicU64,
    /// Whether the main future has something to do: it is no task, so the runtime does not tell.
    main_woken: AtomicBool,
    waiting: Mutex<Waiting>,
    /// What stands for the beginning where the standard library's instants are asked for.
    start: Instant,
}

#[derive(Debug)]
struct Waiting {
    /// The earliest first. Who has given up stays here until its time, or until most are such.
    order: BinaryHeap<Reverse<Due>>,
    /// Those of the next [`STRETCHES`] stretches of time, beginning with `ordered_until`, each at its number modulo that: most are
    /// limits that nobody reaches, and so they never need an order.
    later: Vec<Vec<Due>>,
    /// How many there are in `later`.
    later_count: usize,
    /// The first stretch whose timers are not in `order`.
    ordered_until: u64,
    slots: Vec<Slot>,
    free: Vec<u32>,
    last_number: u64,
    /// The wakers of one moment, kept for its allocation.
    due: Vec<Waker>,
}

/// Ordered by time, then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_ms: u64,
    ticket: Ticket,
}

/// A place among those who wait. Numbers are never given twice, so a slot that was given to somebody else is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket {
    number: u64,
    slot: u32,
}

#[derive(Debug)]
struct Slot {
    number: u64,
    waker: Option<Waker>,
}

/// No clock is let run for so long.
pub(crate) const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Who waits until then waits without an end.
const NEVER: u64 = u64::MAX;
/// With fewer dead entries than this they are left where they are.
const DEAD_MIN: usize = 1024;
/// How many stretches of time `later` reaches: about a minute, longer than most limits.
const STRETCHES: u64 = 64;

/// The stretch of time, about a second, that a timer falls into.
fn stretch(at_ms: u64) -> u64 {
    at_ms >> 10
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self {
            passed_ms: AtomicU64::new(0),
            main_woken: AtomicBool::new(false),
            waiting: Mutex::new(Waiting {
                order: BinaryHeap::new(),
                later: vec![Vec::new(); STRETCHES as usize],
                later_count: 0,
                ordered_until: 0,
                slots: Vec::new(),
                free: Vec::new(),
                last_number: 0,
                due: Vec::new(),
            }),
            start: Instant::now(),
        }
    }

    /// How much time has passed.
    pub(crate) fn passed(&self) -> Duration {
        Duration::from_millis(self.passed_ms())
    }

    fn passed_ms(&self) -> u64 {
        self.passed_ms.load(Ordering::Relaxed)
    }

    /// What stands for the beginning where the standard library's instants are asked for.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// A wait until so much time has passed, rounded up to a millisecond; without an end if that is more than [`FAR`].
    pub(crate) fn until(self: &Arc<Self>, passed: Duration) -> Wait {
        let at_ms = (passed <= FAR).then(|| passed.as_nanos().div_ceil(1_000_000));
        Wait {
            timers: Arc::clone(self),
            at_ms: at_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(NEVER),
            ticket: None,
        }
    }

    /// Nothing can run: lets time pass until the earliest timer, and wakes who waits for it. Must be called inside the runtime.
    pub(crate) fn pass(&self) {
        if self.main_woken.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = locked(&self.waiting);
        let Some(at_ms) = waiting.earliest() else {
            return;
        };
        self.passed_ms.store(at_ms, Ordering::Relaxed);
        let mut due = std::mem::take(&mut waiting.due);
        while let Some(waker) = waiting.take_due(at_ms) {
            due.push(waker);
        }
        drop(waiting);
        for waker in due.drain(..) {
            waker.wake();
        }
        locked(&self.waiting).due = due;
    }

    /// `future`, so that time does not pass while it has something to do.
    pub(crate) async fn watching<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut own: Option<(Waker, Waker)> = None;
        poll_fn(|context| {
            self.main_woken.store(false, Ordering::Relaxed);
            let outer = context.waker();
            let known = own.take().filter(|(known, _)| known.will_wake(outer));
            let (_, inner) = own.insert(known.unwrap_or_else(|| {
                let main = MainWaker {
                    timers: Arc::clone(self),
                    outer: outer.clone(),
                };
                (outer.clone(), Waker::from(Arc::new(main)))
            }));
            future.as_mut().poll(&mut Context::from_waker(inner))
        })
        .await
    }
}

struct MainWaker {
    timers: Arc<Timers>,
    outer: Waker,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.timers.main_woken.store(true, Ordering::Relaxed);
        self.outer.wake_by_ref();
    }
}

impl Waiting {
    /// Takes a place, where there is none yet, or has `waker` woken in its stead. What was there before is to be dropped by the
    /// caller, without the lock: with it may go a task, with that its timers.
    fn wait(&mut self, at_ms: u64, ticket: &mut Option<Ticket>, waker: &Waker) -> Option<Waker> {
        if let Some(ticket) = *ticket {
            let slot = self.slot_of(ticket)?;
            let known = slot
                .waker
                .as_ref()
                .is_some_and(|known| known.will_wake(waker));
            return if known {
                None
            } else {
                slot.waker.replace(waker.clone())
            };
        }
        self.last_number += 1;
        let new = Slot {
            number: self.last_number,
            waker: Some(waker.clone()),
        };
        let index = if let Some(index) = self.free.pop() {
            self.slots[index as usize] = new;
            index
        } else {
            self.slots.push(new);
            u32::try_from(self.slots.len() - 1).expect("fewer timers than memory")
        };
        let taken = Ticket {
            number: self.last_number,
            slot: index,
        };
        let due = Due {
            at_ms,
            ticket: taken,
        };
        // Whoever comes long after the end of what is kept by stretches is seldom, too.
        match stretch(at_ms).checked_sub(self.ordered_until) {
            Some(ahead) if ahead < STRETCHES => {
                self.later[(stretch(at_ms) % STRETCHES) as usize].push(due);
                self.later_count += 1;
            }
            _ => self.order.push(Reverse(due)),
        }
        *ticket = Some(taken);
        None
    }

    fn slot_of(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        let lives = self.lives(ticket);
        lives.then(|| &mut self.slots[ticket.slot as usize])
    }

    fn lives(&self, ticket: Ticket) -> bool {
        let slot = &self.slots[ticket.slot as usize];
        slot.number == ticket.number && slot.waker.is_some()
    }

    /// Gives a place up; the waker is to be dropped without the lock.
    fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let waker = self.slot_of(ticket)?.waker.take();
        self.free.push(ticket.slot);
        let living = self.slots.len() - self.free.len();
        if self.order.len() + self.later_count > DEAD_MIN + 2 * living {
            self.forget_the_dead();
        }
        waker
    }

    fn forget_the_dead(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.retain(|Reverse(due)| self.lives(due.ticket));
        self.order = order;
        let mut later = std::mem::take(&mut self.later);
        for stretch in &mut later {
            stretch.retain(|due| self.lives(due.ticket));
        }
        self.later_count = later.iter().map(Vec::len).sum();
        self.later = later;
    }

    /// When the first of those who still wait is due.
    fn earliest(&mut self) -> Option<u64> {
        loop {
            let first = self.order.peek().map(|Reverse(due)| *due);
            if let Some(due) = first
                && !self.lives(due.ticket)
            {
                self.order.pop();
                continue;
            }
            let first_ms = first.map(|due| due.at_ms);
            if self.later_count == 0 {
                let next = stretch(first_ms?) + 1;
                self.ordered_until = self.ordered_until.max(next);
                return first_ms;
            }
            if first_ms.is_some_and(|at_ms| stretch(at_ms) < self.ordered_until) {
                return first_ms;
            }
            // What is due first may be among the next of those without order.
            let index = (self.ordered_until % STRETCHES) as usize;
            let mut later = std::mem::take(&mut self.later[index]);
            self.later_count -= later.len();
            for due in later.drain(..) {
                if self.lives(due.ticket) {
                    self.order.push(Reverse(due));
                }
            }
            self.later[index] = later;
            self.ordered_until += 1;
        }
    }

    /// The next who is due at `at_ms`.
    fn take_due(&mut self, at_ms: u64) -> Option<Waker> {
        loop {
            let Reverse(due) = *self.order.peek()?;
            if due.at_ms > at_ms {
                return None;
            }
            self.order.pop();
            if let Some(waker) = self.leave(due.ticket) {
                return Some(waker);
            }
        }
    }
}

/// Waits until a moment of virtual time.
#[derive(Debug)]
pub(crate) struct Wait {
    timers: Arc<Timers>,
    at_ms: u64,
    ticket: Option<Ticket>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.timers.passed_ms() >= this.at_ms {
            // Its place is free again since then.
            this.ticket = None;
            return Poll::Ready(());
        }
        if this.at_ms == NEVER {
            return Poll::Pending;
        }
        let before =
            locked(&this.timers.waiting).wait(this.at_ms, &mut this.ticket, context.waker());
        drop(before);
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let waker = locked(&self.timers.waiting).leave(ticket);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;

    /// Notes its name when it is woken.
    struct Noting(u64, Arc<Mutex<Vec<u64>>>);

    impl Wake for Noting {
        fn wake(self: Arc<Self>) {
            locked(&self.1).push(self.0);
        }
    }

    fn waits(wait: &mut Wait, waker: &Waker) -> bool {
        Pin::new(wait)
            .poll(&mut Context::from_waker(waker))
            .is_pending()
    }

    #[test]
    fn everybody_is_woken_in_time_and_in_order() {
        let timers = Arc::new(Timers::new());
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut numbers = (0..u64::MAX).scan(7_u64, |state, _| {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            Some(*state >> 33)
        });
        let mut number = move || numbers.next().expect("it has no end");
        let mut living: Vec<(u64, u64, Wait)> = Vec::new();
        let (mut name, mut given_up) = (0, 0);
        for round in 0..3000 {
            for _ in 0..number() % 4 {
                // From one millisecond to days ahead, and every tenth at the same time as another.
                let ahead = 1 + number() % [10, 3000, 70_000, 200_000_000][(number() % 4) as usize];
                let now = timers.passed_ms();
                let at = match living.last() {
                    Some((at, ..)) if number().is_multiple_of(10) && *at > now => *at,
                    _ => now + ahead,
                };
                let mut wait = timers.until(Duration::from_millis(at));
                name += 1;
                let waker = Waker::from(Arc::new(Noting(name, Arc::clone(&woken))));
                assert!(waits(&mut wait, &waker));
                living.push((at, name, wait));
            }
            for _ in 0..number() % 3 {
                if !living.is_empty() {
                    let gone = number() as usize % living.len();
                    living.swap_remove(gone);
                    given_up += 1;
                }
            }
            let first = living.iter().map(|(at, ..)| *at).min();
            let before = timers.passed_ms();
            timers.pass();
            assert_eq!(timers.passed_ms(), first.unwrap_or(before), "round {round}");
            let due = living.iter().filter(|(at, ..)| Some(*at) == first);
            let mut due: Vec<u64> = due.map(|(_, name, _)| *name).collect();
            due.sort_unstable();
            assert_eq!(std::mem::take(&mut *locked(&woken)), due, "round {round}");
            for (at, _, wait) in &mut living {
                assert_eq!(!waits(wait, Waker::noop()), Some(*at) == first);
            }
            living.retain(|(at, ..)| Some(*at) != first);
            // The others have been asked by somebody else, who is woken now.
            for (_, name, wait) in &mut living {
                let waker = Waker::from(Arc::new(Noting(*name, Arc::clone(&woken))));
                assert!(waits(wait, &waker));
            }
        }
        assert!(name > 3000 && given_up > 1000, "{name}, {given_up}");
    }

    #[test]
    fn nobody_waits_for_the_end_of_time() {
        let timers = Arc::new(Timers::new());
        let mut wait = timers.until(Duration::MAX);
        assert!(waits(&mut wait, Waker::noop()));
        timers.pass();
        assert_eq!(timers.passed(), Duration::ZERO);
    }

    #[test]
    fn those_who_gave_up_are_forgotten() {
        let timers = Arc::new(Timers::new());
        for round in 0..100_000 {
            let mut wait = timers.until(Duration::from_secs(round % 7200 + 1));
            assert!(waits(&mut wait, Waker::noop()));
        }
        let waiting = locked(&timers.waiting);
        assert!(waiting.order.len() + waiting.later_count <= DEAD_MIN + 1);
        assert_eq!(waiting.slots.len(), 1);
        drop(waiting);
        timers.pass();
        assert_eq!(timers.passed(), Duration::ZERO);
    }

    #[test]
    fn time_rests_while_the_main_future_has_something_to_do() {
        let timers = Arc::new(Timers::new());
        let mut wait = timers.until(Duration::from_secs(1));
        assert!(waits(&mut wait, Waker::noop()));
        let mut kept = None;
        let mut turns = 0;
        {
            let mut main = pin!(timers.watching(poll_fn(|context| {
                kept = Some(context.waker().clone());
                turns += 1;
                if turns < 3 {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })));
            let mut outer = Context::from_waker(Waker::noop());
            assert!(main.as_mut().poll(&mut outer).is_pending());
            assert!(main.as_mut().poll(&mut outer).is_pending());
        }
        kept.expect("it was asked").wake();
        timers.pass();
        assert_eq!(
            timers.passed(),
            Duration::ZERO,
            "it was woken and has not had its turn"
        );
        let mut main = pin!(timers.watching(std::future::pending::<()>()));
        assert!(
            main.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        timers.pass();
        assert_eq!(timers.passed(), Duration::from_secs(1));
    }
}
