//! Silences: who keeps which alerts quiet, from when until when.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{Labels, MatchOp, Matcher, Timestamp};
use serde::{Deserialize, Serialize};

use crate::inhibit::matches_all;
use crate::rfc3339;

/// One condition of a silence, as the API writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SilenceMatcher {
    /// The label.
    pub name: String,
    /// The value or pattern.
    pub value: String,
    /// Whether `value` is a regular expression.
    pub is_regex: bool,
    /// Whether the label has to match, not to differ.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

impl SilenceMatcher {
    pub(crate) fn op(&self) -> MatchOp {
        match (self.is_equal, self.is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (false, true) => MatchOp::NotRegex,
        }
    }
}

impl From<&Matcher> for SilenceMatcher {
    fn from(matcher: &Matcher) -> Self {
        Self {
            name: matcher.name().to_owned(),
            value: matcher.value().to_owned(),
            is_regex: matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex),
            is_equal: matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex),
        }
    }
}

/// A silence as it is posted to `/api/v2/silences`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostableSilence {
    /// The silence to change; a new one without.
    #[serde(default)]
    pub id: String,
    /// All of them have to hold.
    pub matchers: Vec<SilenceMatcher>,
    /// From when on.
    #[serde(default, deserialize_with = "rfc3339::optional")]
    pub starts_at: Option<Timestamp>,
    /// Until when.
    #[serde(default, deserialize_with = "rfc3339::optional")]
    pub ends_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Whatever else should be kept with it.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// What a silence does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// It is in force.
    Active,
    /// It has not begun yet.
    Pending,
    /// It is over.
    Expired,
}

/// Why a silence was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// No silence has this id.
    #[error("silence not found")]
    NotFound,
    /// It starts when or after it ends.
    #[error("Failed to create silence: start time must be before end time")]
    EndsBeforeStart,
    /// It is over already.
    #[error("Failed to create silence: end time can't be in the past")]
    EndsInThePast,
    /// Its conditions are no good.
    #[error("invalid silence: {0}")]
    Invalid(String),
    /// The engine holds as many as it may.
    #[error("exceeded maximum number of silences: {count} (limit: {limit})")]
    TooMany {
        /// How many are held.
        count: usize,
        /// How many may be held.
        limit: usize,
    },
}

/// A silence as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Silence {
    pub(crate) id: String,
    pub(crate) matchers: Vec<SilenceMatcher>,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) created_by: String,
    pub(crate) comment: String,
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(skip)]
    compiled: Vec<Matcher>,
}

impl Silence {
    /// What it does at `now`.
    pub(crate) fn state(&self, now: Timestamp) -> SilenceState {
        if now < self.starts_at {
            SilenceState::Pending
        } else if now < self.ends_at {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }
}

/// How long an expired silence is kept (Alertmanager's `--data.retention`).
pub(crate) const RETENTION: Duration = Duration::from_secs(120 * 3600);
/// More silences than this are a mistake; each is looked at for each alert.
const MAX_SILENCES: usize = 100_000;

/// All silences, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silences {
    by_id: BTreeMap<String, Silence>,
    ids: IdSource,
    /// Counts changes.
    pub(crate) generation: u64,
}

impl Silences {
    /// No silences yet; ids come from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            by_id: BTreeMap::new(),
            ids: IdSource { seed, count: 0 },
            generation: 0,
        }
    }

    /// All of them, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.by_id.values()
    }

    /// The one with this id.
    pub(crate) fn get(&self, id: &str) -> Option<&Silence> {
        self.by_id.get(id)
    }

    /// The ids of the silences that keep these labels quiet at `now`.
    pub(crate) fn silenced_by(&self, labels: &Labels, now: Timestamp) -> Vec<String> {
        self.by_id
            .values()
            .filter(|silence| {
                silence.state(now) == SilenceState::Active && matches_all(&silence.compiled, labels)
            })
            .map(|silence| silence.id.clone())
            .collect()
    }

    /// Creates a silence, or changes one: in place while that rewrites no history, otherwise the old one ends and a new one
    /// begins. Gives the id.
    pub(crate) fn set(
        &mut self,
        posted: PostableSilence,
        now: Timestamp,
    ) -> Result<String, SilenceError> {
        self.generation += 1;
        let starts_at = posted.starts_at.unwrap_or(now);
        let ends_at = posted
            .ends_at
            .ok_or_else(|| SilenceError::Invalid("invalid zero end timestamp".to_owned()))?;
        if starts_at >= ends_at {
            return Err(SilenceError::EndsBeforeStart);
        }
        if ends_at < now {
            return Err(SilenceError::EndsInThePast);
        }
        let compiled = compile(&posted.matchers).map_err(SilenceError::Invalid)?;
        let mut silence = Silence {
            id: posted.id,
            matchers: posted.matchers,
            starts_at,
            ends_at,
            updated_at: now,
            created_by: posted.created_by,
            comment: posted.comment,
            annotations: posted.annotations,
            compiled,
        };
        if !silence.id.is_empty() {
            let old = self.by_id.get(&silence.id).ok_or(SilenceError::NotFound)?;
            if may_change(old, &silence, now) {
                let id = silence.id.clone();
                self.by_id.insert(id.clone(), silence);
                return Ok(id);
            }
        }
        if self.by_id.len() >= MAX_SILENCES {
            return Err(SilenceError::TooMany {
                count: self.by_id.len(),
                limit: MAX_SILENCES,
            });
        }
        if !silence.id.is_empty() {
            self.expire(&silence.id, now)?;
        }
        silence.id = self.ids.next(now);
        silence.starts_at = silence.starts_at.max(now);
        let id = silence.id.clone();
        self.by_id.insert(id.clone(), silence);
        Ok(id)
    }

    /// Ends a silence at `now`; one that is over already stays as it is.
    pub(crate) fn expire(&mut self, id: &str, now: Timestamp) -> Result<(), SilenceError> {
        let silence = self.by_id.get_mut(id).ok_or(SilenceError::NotFound)?;
        self.generation += 1;
        let state = silence.state(now);
        if state != SilenceState::Expired {
            silence.ends_at = now;
            silence.updated_at = now;
        }
        if state == SilenceState::Pending {
            silence.starts_at = now;
        }
        Ok(())
    }

    /// Forgets silences that ended longer than the retention ago.
    pub(crate) fn collect_garbage(&mut self, now: Timestamp) {
        self.by_id
            .retain(|_, silence| silence.ends_at + RETENTION > now);
    }

    /// Takes over silences that were saved; what no longer compiles is left out and named.
    pub(crate) fn restore(&mut self, saved: Vec<Silence>) -> Vec<String> {
        let mut refused = Vec::new();
        for mut silence in saved {
            match compile(&silence.matchers) {
                Ok(compiled) => {
                    silence.compiled = compiled;
                    self.by_id.insert(silence.id.clone(), silence);
                }
                Err(reason) => refused.push(format!("silence {}: {reason}", silence.id)),
            }
        }
        refused
    }
}

fn compile(matchers: &[SilenceMatcher]) -> Result<Vec<Matcher>, String> {
    if matchers.is_empty() {
        return Err("matcher set 0 is empty".to_owned());
    }
    let mut compiled = Vec::with_capacity(matchers.len());
    for (index, matcher) in matchers.iter().enumerate() {
        let refuse = |reason: String| format!("invalid label matcher {index} in set 0: {reason}");
        if matcher.name.is_empty() {
            return Err(refuse("invalid label name \"\"".to_owned()));
        }
        let built = Matcher::new(&matcher.name, matcher.op(), &matcher.value).map_err(|error| {
            refuse(format!(
                "invalid regular expression {:?}: {error}",
                matcher.value
            ))
        })?;
        compiled.push(built);
    }
    // As upstream, only conditions that have to match can match the empty text here.
    let all_match_empty = matchers
        .iter()
        .zip(&compiled)
        .all(|(written, built)| written.is_equal && built.matches_empty());
    if all_match_empty {
        return Err(
            "matcher set 0: at least one matcher must not match the empty string".to_owned(),
        );
    }
    Ok(compiled)
}

/// Whether `new` can take the place of `old` without a change to what was silenced so far.
fn may_change(old: &Silence, new: &Silence, now: Timestamp) -> bool {
    if old.matchers != new.matchers {
        return false;
    }
    match old.state(now) {
        SilenceState::Active => {
            old.starts_at.as_secs() == new.starts_at.as_secs() && new.ends_at >= now
        }
        SilenceState::Pending => new.starts_at >= now,
        SilenceState::Expired => false,
    }
}

/// Random-looking ids (UUID version 4) that are the same in every run with the same seed.
#[derive(Clone, Debug, Default)]
struct IdSource {
    seed: u64,
    count: u64,
}

impl IdSource {
    fn next(&mut self, now: Timestamp) -> String {
        self.count += 1;
        let mut state = self.seed ^ now.as_nanos().cast_unsigned().rotate_left(17) ^ self.count;
        let (high, low) = (split_mix(&mut state), split_mix(&mut state));
        // RFC 9562: version 4 and the variant bits.
        let high = (high & !0xf000) | 0x4000;
        let low = (low & !(0b11 << 62)) | (0b10 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn posted(id: &str, value: &str, starts: i64, ends: i64) -> PostableSilence {
        PostableSilence {
            id: id.to_owned(),
            matchers: vec![SilenceMatcher {
                name: "team".to_owned(),
                value: value.to_owned(),
                is_regex: false,
                is_equal: true,
            }],
            starts_at: Some(at(starts)),
            ends_at: Some(at(ends)),
            created_by: "me".to_owned(),
            comment: "test".to_owned(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn a_silence_holds_from_its_start_up_to_its_end() {
        let mut silences = Silences::new(1);
        let id = silences.set(posted("", "x", 10, 20), at(0)).unwrap();
        let labels = Labels::new([("team", "x")]);
        for (secs, expected) in [(9, None), (10, Some(&id)), (19, Some(&id)), (20, None)] {
            assert_eq!(
                silences.silenced_by(&labels, at(secs)).first(),
                expected,
                "{secs}"
            );
        }
        assert!(
            silences
                .silenced_by(&Labels::new([("team", "y")]), at(15))
                .is_empty()
        );
    }

    #[test]
    fn changes_keep_the_id_only_while_they_rewrite_no_history() {
        let mut silences = Silences::new(1);
        let id = silences.set(posted("", "x", 0, 100), at(0)).unwrap();
        // A later end of an active silence is no new silence.
        assert_eq!(
            silences.set(posted(&id, "x", 0, 200), at(50)),
            Ok(id.clone())
        );
        // Other conditions are.
        let other = silences.set(posted(&id, "y", 0, 200), at(60)).unwrap();
        assert_ne!(other, id);
        let old = silences.get(&id).unwrap();
        assert_eq!(
            (old.ends_at, old.state(at(60))),
            (at(60), SilenceState::Expired)
        );
        // It begins when it was made.
        assert_eq!(silences.get(&other).unwrap().starts_at, at(60));
        assert_eq!(
            silences.set(posted("nobody", "x", 0, 200), at(60)),
            Err(SilenceError::NotFound)
        );
    }

    #[test]
    fn expiry_and_garbage() {
        let mut silences = Silences::new(1);
        let pending = silences.set(posted("", "x", 100, 200), at(0)).unwrap();
        silences.expire(&pending, at(10)).unwrap();
        let silence = silences.get(&pending).unwrap();
        assert_eq!((silence.starts_at, silence.ends_at), (at(10), at(10)));
        silences.expire(&pending, at(20)).unwrap();
        assert_eq!(silences.get(&pending).unwrap().ends_at, at(10));
        silences.collect_garbage(at(10) + RETENTION - Duration::from_secs(1));
        assert!(silences.get(&pending).is_some());
        silences.collect_garbage(at(10) + RETENTION);
        assert_eq!(
            silences.expire(&pending, at(20)),
            Err(SilenceError::NotFound)
        );
    }

    #[test]
    fn refusals() {
        let mut silences = Silences::new(1);
        let mut check = |posted: PostableSilence, expected: &str| {
            assert_eq!(
                silences.set(posted, at(50)).unwrap_err().to_string(),
                expected
            );
        };
        check(
            posted("", "x", 60, 60),
            "Failed to create silence: start time must be before end time",
        );
        check(
            posted("", "x", 10, 20),
            "Failed to create silence: end time can't be in the past",
        );
        check(
            posted("", "", 60, 70),
            "invalid silence: matcher set 0: at least one matcher must not match the empty string",
        );
        let without = PostableSilence {
            matchers: Vec::new(),
            ..posted("", "x", 60, 70)
        };
        check(without, "invalid silence: matcher set 0 is empty");
    }

    #[test]
    fn ids_are_uuids_and_the_same_for_the_same_seed() {
        let mut one = IdSource { seed: 7, count: 0 };
        let first = one.next(at(1));
        assert_eq!(first, IdSource { seed: 7, count: 0 }.next(at(1)));
        assert_ne!(first, one.next(at(1)));
        assert_eq!((first.len(), &first[14..15]), (36, "4"));
    }
}
