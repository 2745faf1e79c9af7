//! Histograms whose buckets end at powers of two, and quantiles of them, as Tempo computes them.

use std::collections::BTreeMap;

/// The end of the bucket that holds `value`: the smallest power of two that is not less. What is not positive is in bucket 0.
pub(crate) fn bucket_of(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let bits = value.to_bits();
    let is_power = bits & ((1 << 52) - 1) == 0;
    // The exponent alone is the largest power that is not greater; subnormal values end up in the smallest normal bucket.
    let below = f64::from_bits(bits & !((1 << 52) - 1));
    match (is_power, below == 0.0) {
        (_, true) => f64::MIN_POSITIVE,
        (true, _) => below,
        (false, _) => below * 2.0,
    }
}

/// Counts by the end of their bucket; the bits of a float that is not negative sort as the float does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Log2Histogram(BTreeMap<u64, f64>);

impl Log2Histogram {
    pub(crate) fn record(&mut self, value: f64) {
        *self.0.entry(bucket_of(value).to_bits()).or_default() += 1.0;
    }

    /// The value below which the share `quantile` lies; 0 where nothing was recorded. Inside a bucket values are taken to be spread
    /// evenly in their logarithm.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let total: f64 = self.0.values().sum();
        if total == 0.0 {
            return 0.0;
        }
        // The rank of the sample that is looked for, from 1.
        let rank = (quantile * total).ceil().max(1.0);
        let mut before = 0.0;
        let mut last = 0.0;
        for (end, count) in self
            .0
            .iter()
            .map(|(bits, count)| (f64::from_bits(*bits), *count))
        {
            last = end;
            if before + count == rank {
                return end;
            }
            if before + count > rank {
                let share = (rank - before) / count;
                // From half the end, where the bucket begins, to the end.
                return end * (share - 1.0).exp2();
            }
            before += count;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_end_at_powers_of_two() {
        for (value, end) in [
            (0.0, 0.0),
            (-1.0, 0.0),
            (1.0, 1.0),
            (2.0, 2.0),
            (3.0, 4.0),
            (1023.0, 1024.0),
            (1024.0, 1024.0),
            (0.3, 0.5),
        ] {
            assert_eq!(bucket_of(value), end, "{value}");
        }
        let large = (1u64 << 62) as f64;
        assert_eq!(bucket_of(large), large);
    }

    #[test]
    fn quantiles() {
        let of = |values: &[f64], quantile| {
            let mut histogram = Log2Histogram::default();
            values.iter().for_each(|value| histogram.record(*value));
            histogram.quantile(quantile)
        };
        assert_eq!(of(&[], 0.5), 0.0);
        assert_eq!(of(&[128.0, 256.0, 512.0], 0.0), 128.0);
        assert_eq!(of(&[128.0, 256.0, 512.0], 0.5), 256.0);
        assert_eq!(of(&[128.0, 256.0, 512.0], 1.0), 512.0);
        // One of four samples of the bucket (128, 256]: 128 * 2^(1/4).
        let expected = 128.0 * 2f64.powf(0.25);
        assert!((of(&[256.0; 4], 0.0) - expected).abs() < 1e-9);
    }
}
