//! What a person would want on the timeline.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gameday_signal::{Event, EventKind, Timestamp};

use crate::clock::Clock;

/// The one ordered list of events of a game day. A clone is the same journal.
#[derive(Clone)]
pub struct Journal {
    clock: Clock,
    events: Arc<Mutex<Vec<Event>>>,
}

/// A game day that records more has a bug; the last entry says that the journal is full.
const EVENTS_MAX: usize = 200_000;

impl Journal {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            events: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that something happens now.
    pub fn record(&self, kind: EventKind) {
        self.record_at(self.clock.now(), kind);
    }

    /// Records something that happened at `at`, for what is only learnt of later.
    pub fn record_at(&self, at: Timestamp, kind: EventKind) {
        let mut events = self.lock();
        let seq = events.len() as u64;
        if events.len() < EVENTS_MAX {
            events.push(Event { at, seq, kind });
        } else if events.len() == EVENTS_MAX {
            let text = format!("the journal is full ({EVENTS_MAX} events): later ones are missing");
            events.push(Event {
                at,
                seq,
                kind: EventKind::Note { text },
            });
        }
    }

    /// All events so far, in the order of recording.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    /// The events from number `seq` on.
    pub fn since(&self, seq: u64) -> Vec<Event> {
        self.lock()
            .iter()
            .skip(usize::try_from(seq).unwrap_or(usize::MAX))
            .cloned()
            .collect()
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.lock().len() as u64
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}
