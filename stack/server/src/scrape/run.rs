//! The task that scrapes.

use std::path::PathBuf;

use gameday_env::Env;
use gameday_metrics::Store;
use tokio::sync::Notify;

use super::discovery::read_target_files;
use super::fetch::fetch;
use super::scraper::{ScrapeJob, Scraper};
use crate::outgoing::Outgoing;

/// Who holds the scraper and the store; both are lent for the time of a plain call.
pub trait ScrapeHost: Clone + Send + Sync + 'static {
    /// Calls `visit` with the scraper and the store.
    fn with_scraper<R>(&self, visit: impl FnOnce(&mut Scraper, &mut Store) -> R) -> R;

    /// Is waited for beside the next deadline: a reload may have changed it.
    fn scraper_changed(&self) -> &Notify;
}

/// Scrapes for ever. Files of targets, tokens and passwords are relative to `folder`.
pub async fn run(env: Env, host: impl ScrapeHost, folder: PathBuf) {
    let outgoing = Outgoing::new(&env);
    loop {
        let now = env.now();
        let jobs = host.with_scraper(|scraper, store| {
            scraper.due(now, store, &mut |pattern| {
                read_target_files(&folder, pattern)
            })
        });
        for job in jobs {
            let (env_of_job, host, outgoing, folder) =
                (env.clone(), host.clone(), outgoing.clone(), folder.clone());
            env.spawn(async move {
                scrape(&env_of_job, &host, &outgoing, folder, job).await;
            });
        }
        let deadline = host.with_scraper(|scraper, _| scraper.next_deadline());
        let changed = host.scraper_changed().notified();
        match deadline {
            None => changed.await,
            Some(deadline) => tokio::select! {
                biased;
                () = env.clock().sleep_until(deadline) => {}
                () = changed => {}
            },
        }
    }
}

async fn scrape(
    env: &Env,
    host: &impl ScrapeHost,
    outgoing: &Outgoing,
    folder: PathBuf,
    job: ScrapeJob,
) {
    let read = move |file: &str| std::fs::read_to_string(folder.join(file));
    let answer = fetch(outgoing, &job, &read).await;
    let now = env.now();
    host.with_scraper(|scraper, store| scraper.finish(&job, answer, now, store));
    // Its next slot may be the nearest deadline.
    host.scraper_changed().notify_one();
}
