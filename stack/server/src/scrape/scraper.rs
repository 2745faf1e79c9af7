//! Which target is due when.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_metrics::Store;
use gameday_signal::{Labels, MetricMetadata, Timestamp};
use gameday_wire::exposition::{Format, format_of};

use super::cache::{Counts, Rules, ScrapeCache};
use super::discovery::{Found, Outcome, TargetFiles, parse_target_file, target};
use super::fetch::{BODY_SIZE_EXCEEDED, Fetched};
use super::target::{ActiveTarget, DroppedTarget, Health, Target};
use crate::config::{
    HttpClientConfig, NameEscaping, PrometheusConfig, ScrapeConfig, ScrapeProtocol, StaticConfig,
};

/// A scrape that ends this close behind its slot counts as on time (Prometheus' scrapeTimestampTolerance).
const TOLERANCE: Duration = Duration::from_millis(2);

/// How the scraper goes about its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScraperOptions {
    /// Spread the targets over the interval by the hash of their labels, as Prometheus does; else all of a job are asked at once, at
    /// multiples of the interval since the Unix epoch.
    pub spread: bool,
}

/// A scrape that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeJob {
    /// Which target: a number that is not used again.
    pub target: u64,
    /// The time of its samples.
    pub scheduled: Timestamp,
    /// The address that is asked.
    pub url: String,
    /// When the scrape has failed.
    pub timeout: Duration,
    /// The formats asked for, the dearest first.
    pub protocols: Vec<ScrapeProtocol>,
    /// How names are asked for that the classic grammar does not have.
    pub escaping: NameEscaping,
    /// Ask for a compressed answer.
    pub enable_compression: bool,
    /// The answer may be this large when decompressed.
    pub body_size_limit: Option<u64>,
    /// How the request is made.
    pub http: HttpClientConfig,
}

/// A target that is gone, whose series have yet to end.
#[derive(Debug)]
struct Retired {
    stale_at: Timestamp,
    write_at: Timestamp,
    target: Target,
}

/// Where targets of a file came from.
#[derive(Debug)]
struct FileSource {
    job: usize,
    pattern: String,
    refresh_interval: Duration,
    next: Timestamp,
    groups: BTreeMap<String, Vec<StaticConfig>>,
    problems: BTreeMap<String, String>,
}

/// The scraper. It does no I/O: it says what is due and is told what came back.
#[derive(Debug)]
pub struct Scraper {
    options: ScraperOptions,
    configs: Vec<ScrapeConfig>,
    files: Vec<FileSource>,
    targets: BTreeMap<u64, Target>,
    next_id: u64,
    dropped: Vec<DroppedTarget>,
    /// By job.
    dropped_counts: Vec<u64>,
    problems: Vec<String>,
    /// Jobs with more targets than their limit, with the words for it.
    over_limit: BTreeMap<usize, String>,
    retired: Vec<Retired>,
}

impl Scraper {
    /// A scraper of the targets of `config`; files of targets are read at the first [`Scraper::due`].
    pub fn new(config: &PrometheusConfig, options: ScraperOptions, now: Timestamp) -> Self {
        let mut scraper = Self {
            options,
            configs: Vec::new(),
            files: Vec::new(),
            targets: BTreeMap::new(),
            next_id: 0,
            dropped: Vec::new(),
            dropped_counts: Vec::new(),
            problems: Vec::new(),
            over_limit: BTreeMap::new(),
            retired: Vec::new(),
        };
        scraper.reload(config, now);
        scraper
    }

    /// Takes another configuration: targets that are the same keep their state, the series of those that are gone end.
    pub fn reload(&mut self, config: &PrometheusConfig, now: Timestamp) {
        let mut previous = std::mem::take(&mut self.files);
        let before = std::mem::replace(&mut self.configs, config.scrape_configs.clone());
        for (job, own) in self.configs.iter().enumerate() {
            for source in &own.file_sd_configs {
                for pattern in &source.files {
                    let known = previous.iter_mut().find(|file| file.pattern == *pattern);
                    let (groups, problems) = known
                        .map(|file| (file.groups.clone(), file.problems.clone()))
                        .unwrap_or_default();
                    self.files.push(FileSource {
                        job,
                        pattern: pattern.clone(),
                        refresh_interval: source.refresh_interval,
                        next: now,
                        groups,
                        problems,
                    });
                }
            }
        }
        self.sync(Some(&before), now);
    }

    /// When something is due next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let targets = self
            .targets
            .values()
            .filter(|target| !target.in_flight)
            .map(|target| target.next);
        let files = self.files.iter().map(|file| file.next);
        let retired = self.retired.iter().map(|own| own.write_at);
        targets.chain(files).chain(retired).min()
    }

    /// What is to be fetched now. Files of targets are read again with `read` when it is their time, and the series of targets that are
    /// gone end.
    pub fn due(
        &mut self,
        now: Timestamp,
        store: &mut Store,
        read: &mut dyn FnMut(&str) -> TargetFiles,
    ) -> Vec<ScrapeJob> {
        self.refresh(now, read);
        self.end_retired(now, store);
        let mut jobs = Vec::new();
        for (id, target) in &mut self.targets {
            if target.in_flight || target.next > now {
                continue;
            }
            let slot = target.next;
            let late = now.since(slot);
            // Slots that were missed are not made up for.
            while target.next <= now {
                target.next = target.next + target.found.interval;
            }
            target.in_flight = true;
            let config = &self.configs[target.job];
            jobs.push(ScrapeJob {
                target: *id,
                scheduled: if late <= TOLERANCE { slot } else { now },
                url: target.found.url.clone(),
                timeout: target.found.timeout,
                protocols: config.scrape_protocols.clone(),
                escaping: config
                    .metric_name_escaping_scheme
                    .unwrap_or(NameEscaping::AllowUtf8),
                enable_compression: config.enable_compression,
                body_size_limit: config.body_size_limit,
                http: config.http.clone(),
            });
        }
        jobs
    }

    /// Takes the answer to a scrape, which came at `now`.
    pub fn finish(
        &mut self,
        job: &ScrapeJob,
        answer: Result<Fetched, String>,
        now: Timestamp,
        store: &mut Store,
    ) {
        let over_limit = self
            .targets
            .get(&job.target)
            .and_then(|target| self.over_limit.get(&target.job));
        let answer = match over_limit {
            Some(reason) => Err(reason.clone()),
            None => answer,
        };
        let (target, config) = match self.targets.get_mut(&job.target) {
            Some(target) => {
                let config = &self.configs[target.job];
                (target, config)
            }
            // The target has gone while it was asked.
            None => return,
        };
        target.in_flight = false;
        let at_ms = job.scheduled.as_millis();
        let rules = Rules {
            config,
            target: &target.found.labels,
        };
        let body_bytes = match &answer {
            Ok(fetched) => fetched.body.len() as f64,
            Err(reason) if reason == BODY_SIZE_EXCEEDED => -1.0,
            Err(_) => 0.0,
        };
        let (counts, result) = match answer {
            Ok(fetched) => take(&mut target.cache, &fetched, rules, at_ms, store),
            Err(reason) => (Counts::default(), Err(reason)),
        };
        target.last_scrape = Some(job.scheduled);
        target.last_duration = now.since(job.scheduled);
        let is_up = result.is_ok();
        match result {
            Ok(metadata) => {
                target.metadata = metadata;
                target.last_error.clear();
                target.health = Health::Up;
            }
            Err(reason) => {
                target.cache.end_all(at_ms, store);
                target.last_error = reason;
                target.health = Health::Down;
            }
        }
        for (name, value) in [
            ("up", f64::from(u8::from(is_up))),
            (
                "scrape_duration_seconds",
                target.last_duration.as_secs_f64(),
            ),
            ("scrape_samples_scraped", counts.scraped as f64),
            ("scrape_samples_post_metric_relabeling", counts.kept as f64),
            ("scrape_series_added", counts.added as f64),
        ] {
            let labels = &target.found.labels;
            target.cache.report(name, labels, at_ms, value, store);
        }
        if config.extra_scrape_metrics != Some(true) {
            return;
        }
        for (name, value) in [
            ("scrape_timeout_seconds", target.found.timeout.as_secs_f64()),
            (
                "scrape_sample_limit",
                config.sample_limit.unwrap_or_default() as f64,
            ),
            ("scrape_body_size_bytes", body_bytes),
        ] {
            let labels = &target.found.labels;
            target.cache.report(name, labels, at_ms, value, store);
        }
    }

    /// The targets, sorted by job and labels.
    pub fn active_targets(&self) -> Vec<ActiveTarget> {
        let mut targets: Vec<&Target> = self.targets.values().collect();
        targets.sort_by_key(|target| (target.job, &target.found));
        targets
            .into_iter()
            .map(|target| target.view(&self.configs[target.job].job_name))
            .collect()
    }

    /// The targets that relabelling dropped, as many of each job as `keep_dropped_targets` says.
    pub fn dropped_targets(&self) -> &[DroppedTarget] {
        &self.dropped
    }

    /// How many targets of each job relabelling dropped.
    pub fn dropped_counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.scrape_pools().zip(self.dropped_counts.iter().copied())
    }

    /// The names of the jobs, in the order of the configuration.
    pub fn scrape_pools(&self) -> impl Iterator<Item = &str> {
        self.configs.iter().map(|config| config.job_name.as_str())
    }

    /// What is wrong with targets and files of targets, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let files = self.files.iter().flat_map(|file| {
            file.problems
                .iter()
                .map(|(path, reason)| format!("{path}: {reason}"))
        });
        self.problems.iter().cloned().chain(files).collect()
    }

    /// What the targets say about their metric families, each different word once.
    pub fn metadata(&self) -> BTreeMap<String, Vec<MetricMetadata>> {
        let mut all: BTreeMap<String, Vec<MetricMetadata>> = BTreeMap::new();
        for target in self.targets.values() {
            for (name, own) in &target.metadata {
                let known = all.entry(name.clone()).or_default();
                if !known.contains(own) {
                    known.push(own.clone());
                }
            }
        }
        all
    }

    fn refresh(&mut self, now: Timestamp, read: &mut dyn FnMut(&str) -> TargetFiles) {
        let mut changed = false;
        for file in &mut self.files {
            if file.next > now {
                continue;
            }
            file.next = now + file.refresh_interval.max(Duration::from_millis(1));
            let mut groups = BTreeMap::new();
            file.problems.clear();
            for (path, text) in read(&file.pattern) {
                let parsed = text.and_then(|text| parse_target_file(&text));
                match parsed {
                    Ok(parsed) => {
                        groups.insert(path, parsed);
                    }
                    Err(reason) => {
                        // A file that cannot be read keeps its targets.
                        if let Some(known) = file.groups.remove(&path) {
                            groups.insert(path.clone(), known);
                        }
                        file.problems.insert(path, reason);
                    }
                }
            }
            if groups != file.groups {
                file.groups = groups;
                changed = true;
            }
        }
        if changed {
            self.sync(None, now);
        }
    }

    /// Brings the targets in line with the configuration (`before` is the one that it replaces) and the files.
    fn sync(&mut self, before: Option<&[ScrapeConfig]>, now: Timestamp) {
        let mut wanted = self.discover();
        let known = std::mem::take(&mut self.targets);
        for (id, mut own) in known {
            let key = (own.job, own.found.labels.clone(), own.found.url.clone());
            // A job that moved within the file is the same by its labels.
            let same = wanted.remove_entry(&key).or_else(|| {
                let other = wanted
                    .keys()
                    .find(|(_, labels, url)| *labels == key.1 && *url == key.2)
                    .cloned()?;
                wanted.remove_entry(&other)
            });
            let Some(((job, _, _), found)) = same else {
                self.retire(own);
                continue;
            };
            if before.is_some_and(|before| before.get(own.job) != self.configs.get(job)) {
                own.cache.rules_changed();
            }
            if found.interval != own.found.interval {
                own.next = self.first_slot(&found, now);
            }
            own.found = found;
            own.job = job;
            self.targets.insert(id, own);
        }
        for ((job, _, _), found) in wanted {
            let next = self.first_slot(&found, now);
            self.targets
                .insert(self.next_id, Target::new(found, job, next));
            self.next_id += 1;
        }
    }

    /// The targets that the configuration and the files name.
    fn discover(&mut self) -> BTreeMap<(usize, Labels, String), Found> {
        self.dropped.clear();
        self.dropped_counts.clear();
        self.problems.clear();
        self.over_limit.clear();
        let mut wanted: BTreeMap<(usize, Labels, String), Found> = BTreeMap::new();
        for (job, config) in self.configs.iter().enumerate() {
            let statics = config.static_configs.iter().map(|group| (None, group));
            let files = self
                .files
                .iter()
                .filter(|file| file.job == job)
                .flat_map(|file| &file.groups)
                .flat_map(|(path, groups)| {
                    groups.iter().map(move |group| (Some(path.as_str()), group))
                });
            let (mut count, mut dropped) = (0u64, 0u64);
            for (file, group) in statics.chain(files) {
                for address in &group.targets {
                    match target(config, address, &group.labels, file) {
                        Outcome::Active(found) => {
                            count += 1;
                            let key = (job, found.labels.clone(), found.url.clone());
                            wanted.entry(key).or_insert(found);
                        }
                        Outcome::Dropped(discovered_labels) => {
                            dropped += 1;
                            if config
                                .keep_dropped_targets
                                .is_none_or(|limit| dropped <= limit)
                            {
                                self.dropped.push(DroppedTarget {
                                    discovered_labels,
                                    scrape_pool: config.job_name.clone(),
                                });
                            }
                        }
                        Outcome::Invalid(reason) => self
                            .problems
                            .push(format!("scrape pool {:?}: {reason}", config.job_name)),
                    }
                }
            }
            self.dropped_counts.push(dropped);
            if let Some(limit) = config.target_limit
                && count > limit
            {
                self.over_limit.insert(
                    job,
                    format!("target_limit exceeded (number of targets: {count}, limit: {limit})"),
                );
            }
        }
        wanted
    }

    /// The first slot that is not before now.
    fn first_slot(&self, found: &Found, now: Timestamp) -> Timestamp {
        let interval = found.interval;
        let nanos = u64::try_from(interval.as_nanos())
            .unwrap_or(u64::MAX)
            .max(1);
        let offset = if self.options.spread {
            Duration::from_nanos(found.labels.fingerprint() % nanos)
        } else {
            Duration::ZERO
        };
        let slot = (now - offset).floor_to(interval) + offset;
        if slot < now { slot + interval } else { slot }
    }

    /// As Prometheus does it: the marker has the time of the next slot, and is written a little after the one behind it, because the
    /// target may have come back under another name.
    fn retire(&mut self, target: Target) {
        let interval = target.found.interval;
        let stale_at = target.next;
        self.retired.push(Retired {
            stale_at,
            write_at: stale_at + interval + interval / 10,
            target,
        });
    }

    fn end_retired(&mut self, now: Timestamp, store: &mut Store) {
        let (ready, waiting) = std::mem::take(&mut self.retired)
            .into_iter()
            .partition(|own| own.write_at <= now);
        self.retired = waiting;
        let ready: Vec<Retired> = ready;
        for mut own in ready {
            let at_ms = own.stale_at.as_millis();
            let labels = &own.target.found.labels;
            own.target.cache.end_all(at_ms, store);
            if own.target.last_scrape.is_none() {
                continue;
            }
            own.target.cache.end_report(labels, at_ms, store);
        }
    }
}

fn take(
    cache: &mut ScrapeCache,
    fetched: &Fetched,
    rules: Rules<'_>,
    at_ms: i64,
    store: &mut Store,
) -> (Counts, Result<BTreeMap<String, MetricMetadata>, String>) {
    if fetched.body.is_empty() {
        // An empty answer says in any format that there is nothing.
        return cache.take(b"", Format::Text, rules, at_ms, store);
    }
    let fallback = rules
        .config
        .fallback_scrape_protocol
        .map(ScrapeProtocol::format);
    match format_of(fetched.content_type.as_deref(), fallback) {
        Ok(format) => cache.take(&fetched.body, format, rules, at_ms, store),
        Err(error) => (Counts::default(), Err(error.to_string())),
    }
}
