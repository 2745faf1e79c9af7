//! Elite, high, medium or low.

/// A level of performance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The best.
    Elite,
    /// Good.
    High,
    /// Middling.
    Medium,
    /// The rest.
    Low,
}

impl Level {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Elite, Self::High, Self::Medium, Self::Low];

    /// Its name in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Elite => "elite",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// The borders of the levels: what is still elite, still high, still medium.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// Deployments a day, more than the first and at least the others.
    pub deployments_per_day: [f64; 3],
    /// Lead time in seconds, less than.
    pub lead_time_secs: [f64; 3],
    /// Change failure rate, 0 to 1, at most.
    pub change_failure_ratio: [f64; 3],
    /// Time to restore in seconds, less than.
    pub time_to_restore_secs: [f64; 3],
}

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

impl Default for Levels {
    /// The table that is most often printed: more than one deployment a day, one a week, one a month; an hour, a day, a week; 15, 45
    /// and 60 percent. What lies between its medium and low (a lead time of a week to a month) counts as low.
    fn default() -> Self {
        Self {
            deployments_per_day: [1.0, 1.0 / 7.0, 1.0 / 30.0],
            lead_time_secs: [HOUR, DAY, 7.0 * DAY],
            change_failure_ratio: [0.15, 0.45, 0.60],
            time_to_restore_secs: [HOUR, DAY, 7.0 * DAY],
        }
    }
}

impl Levels {
    /// The level of so many deployments a day.
    pub fn of_frequency(&self, per_day: f64) -> Level {
        let [elite, high, medium] = self.deployments_per_day;
        pick([per_day > elite, per_day >= high, per_day >= medium])
    }

    /// The level of a lead time.
    pub fn of_lead_time(&self, secs: f64) -> Level {
        pick(self.lead_time_secs.map(|border| secs < border))
    }

    /// The level of a change failure rate.
    pub fn of_failure_ratio(&self, ratio: f64) -> Level {
        pick(self.change_failure_ratio.map(|border| ratio <= border))
    }

    /// The level of a time to restore.
    pub fn of_restore(&self, secs: f64) -> Level {
        pick(self.time_to_restore_secs.map(|border| secs < border))
    }
}

fn pick(reached: [bool; 3]) -> Level {
    let index = reached.iter().position(|it| *it).unwrap_or(3);
    Level::ALL[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_borders_are_those_of_the_table() {
        let levels = Levels::default();
        for (per_day, level) in [
            (1.1, Level::Elite),
            (1.0, Level::High),
            (0.2, Level::High),
            (0.1, Level::Medium),
            (0.01, Level::Low),
        ] {
            assert_eq!(levels.of_frequency(per_day), level, "{per_day}");
        }
        for (hours, level) in [
            (0.5, Level::Elite),
            (1.0, Level::High),
            (30.0, Level::Medium),
            (500.0, Level::Low),
        ] {
            assert_eq!(levels.of_lead_time(hours * HOUR), level, "{hours}");
            assert_eq!(levels.of_restore(hours * HOUR), level, "{hours}");
        }
        for (ratio, level) in [
            (0.0, Level::Elite),
            (0.15, Level::Elite),
            (0.3, Level::High),
            (0.6, Level::Medium),
            (0.7, Level::Low),
        ] {
            assert_eq!(levels.of_failure_ratio(ratio), level, "{ratio}");
        }
    }
}
