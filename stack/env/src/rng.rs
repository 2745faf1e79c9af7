//! Entropy: named streams from one seed.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// A stream of random numbers (ChaCha8), the same on every machine for the same seed and name.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream `name` of `seed`.
    pub fn named(seed: u64, name: &str) -> Self {
        // FNV-1a spreads the names; ChaCha8 does the rest.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&hash.to_le_bytes());
        key[16..24].copy_from_slice(&(name.len() as u64).to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A number from 0 (included) to 1 (excluded), in steps of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of that probability happens; exactly never at 0 and always at 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number below `bound`, which must not be zero (Lemire, "Fast Random Integer Generation in an Interval", without the
    /// rejection: the bias is below 2^-32 for the bounds used here).
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// The time to the next event of a Poisson process of that rate; an hour where the rate is zero.
    pub fn exponential(&mut self, per_second: f64) -> Duration {
        if per_second <= 0.0 {
            return Duration::from_secs(3600);
        }
        // 1 - unit is never zero, so the logarithm is finite.
        Duration::from_secs_f64(-(1.0 - self.unit()).ln() / per_second)
    }

    /// A number of the standard normal distribution (Box and Muller, the cosine half).
    pub fn standard_normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_give_the_same_stream_on_every_machine() {
        let mut load = Rng::named(42, "load");
        let first = [load.next_u64(), load.next_u64()];
        let mut again = Rng::named(42, "load");
        assert_eq!(first, [again.next_u64(), again.next_u64()]);
        assert_ne!(first[0], Rng::named(42, "trace-ids").next_u64());
        assert_ne!(first[0], Rng::named(43, "load").next_u64());
    }

    #[test]
    fn exponential_waits_have_the_mean_of_their_rate() {
        let mut rng = Rng::named(1, "x");
        let total: Duration = (0..100_000).map(|_| rng.exponential(10.0)).sum();
        assert!(
            (total.as_secs_f64() / 100_000.0 - 0.1).abs() < 0.002,
            "{total:?}"
        );
    }

    #[test]
    fn chances_are_exact_at_the_ends() {
        let mut rng = Rng::named(1, "x");
        assert!((0..1000).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
    }
}
