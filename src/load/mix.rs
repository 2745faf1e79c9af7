//! What requests ask for.

use bytes::Bytes;
use gameday_env::Rng;
use http::{Method, Request};

/// One kind of request.
#[derive(Clone, Debug, PartialEq)]
pub struct MixEntry {
    /// The method.
    pub method: Method,
    /// The path with its query.
    pub path: String,
    /// A JSON body, or none.
    pub body: Option<String>,
    /// How often it comes, relative to the others.
    pub weight: f64,
}

/// Kinds of requests with their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestMix {
    entries: Vec<MixEntry>,
    total: f64,
}

impl RequestMix {
    /// A mix; entries without weight never come.
    pub fn new(entries: Vec<MixEntry>) -> Self {
        let total = entries.iter().map(|entry| entry.weight.max(0.0)).sum();
        Self { entries, total }
    }

    /// The kinds of requests.
    pub fn entries(&self) -> &[MixEntry] {
        &self.entries
    }

    pub(super) fn entry(&self, index: usize) -> &MixEntry {
        &self.entries[index]
    }

    /// Draws a kind; none where there is nothing to draw.
    pub(super) fn pick(&self, rng: &mut Rng) -> Option<usize> {
        let mut left = rng.unit() * self.total;
        let mut last = None;
        for (index, entry) in self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.weight > 0.0)
        {
            left -= entry.weight;
            last = Some(index);
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

impl MixEntry {
    /// The request, whose copies are sent.
    pub(super) fn request(&self, base_url: &str) -> Result<Request<Bytes>, http::Error> {
        let mut builder = Request::builder()
            .method(self.method.clone())
            .uri(format!("{base_url}{}", self.path));
        if self.body.is_some() {
            builder = builder.header("content-type", "application/json");
        }
        builder.body(self.body.clone().map(Bytes::from).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, weight: f64) -> MixEntry {
        MixEntry {
            method: Method::GET,
            path: path.to_owned(),
            body: None,
            weight,
        }
    }

    #[test]
    fn weights_are_respected() {
        let mix = RequestMix::new(vec![
            entry("/a", 3.0),
            entry("/never", 0.0),
            entry("/b", 1.0),
        ]);
        let mut rng = Rng::named(1, "mix");
        let mut counts = [0; 3];
        for _ in 0..40_000 {
            counts[mix.pick(&mut rng).expect("there are entries")] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!(
            (2.8..3.2).contains(&(f64::from(counts[0]) / f64::from(counts[2]))),
            "{counts:?}"
        );
        assert_eq!(RequestMix::new(Vec::new()).pick(&mut rng), None);
    }
}
