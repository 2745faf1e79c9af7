//! W3C Trace Context: the `traceparent` header, in and out.

use gameday_signal::{SpanId, TraceId, write_hex};
use http::HeaderName;

/// The header of the caller's span (W3C Trace Context, 3.2).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header of what vendors add to it (3.3).
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What a caller says about the trace that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    /// The trace.
    pub(crate) trace_id: TraceId,
    /// The caller's span.
    pub(crate) span_id: SpanId,
    /// Whether the caller records this trace.
    pub(crate) sampled: bool,
}

/// The header of version 00 has this length; a later version may be longer but begins the same (W3C Trace Context, 3.2.2).
const LEN: usize = 55;

impl TraceParent {
    /// Reads a header; a malformed one is treated as if there were none, as the standard wants it.
    pub(crate) fn parse(header: &[u8]) -> Option<Self> {
        if header.len() < LEN || !header.is_ascii() {
            return None;
        }
        let separators = [2, 35, 52].iter().all(|&index| header[index] == b'-');
        let later_version = header.len() > LEN && header[LEN] == b'-';
        let version = hex_byte(header[0], header[1])?;
        let length_fits = match version {
            0 => header.len() == LEN,
            // Version 255 is invalid.
            0xff => false,
            _ => header.len() == LEN || later_version,
        };
        if !separators || !length_fits {
            return None;
        }
        let mut trace_id = [0; 16];
        let mut span_id = [0; 8];
        hex_bytes(&header[3..35], &mut trace_id)?;
        hex_bytes(&header[36..52], &mut span_id)?;
        let flags = hex_byte(header[53], header[54])?;
        let (trace_id, span_id) = (TraceId(trace_id), SpanId(span_id));
        let valid = !trace_id.is_none() && !span_id.is_none();
        valid.then_some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }

    /// The header, version 00.
    pub(crate) fn header(self) -> [u8; LEN] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace_id.0, &mut out[3..35]);
        write_hex(&self.span_id.0, &mut out[36..52]);
        out[54] = b'0' + u8::from(self.sampled);
        out
    }
}

fn hex_bytes(digits: &[u8], out: &mut [u8]) -> Option<()> {
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_byte(pair[0], pair[1])?;
    }
    Some(())
}

/// Only lower-case digits are allowed (W3C Trace Context, 2.1: HEXDIGLC).
fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_standard_allows() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
        let parsed = TraceParent::parse(header.as_bytes()).expect("a valid header");
        assert!(parsed.sampled);
        assert_eq!(parsed.header(), header.as_bytes());
        let later = "01-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-02-more";
        assert!(
            !TraceParent::parse(later.as_bytes())
                .expect("a later version")
                .sampled
        );
    }

    #[test]
    fn ignores_what_is_malformed() {
        for header in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            "00-0AF7651916CD43DD8448EB211C80319C-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00_0af7651916cd43dd8448eb211c80319c_00f067aa0ba902b7_01",
            "01-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01more",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-zz",
        ] {
            assert_eq!(TraceParent::parse(header.as_bytes()), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceParent::parse(&bytes);
        }
    }
}
