//! Frames and messages of WebSockets (RFC 6455, section 5).

/// The longest message, and the longest frame.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// More of the message before.
    Continuation,
    /// A text.
    Text,
    /// Bytes.
    Binary,
    /// The end.
    Close,
    /// A question whether we are there.
    Ping,
    /// Its answer.
    Pong,
}

impl Kind {
    fn of(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn code(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

/// A frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Whether the message ends with it.
    pub(super) is_last: bool,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// Reads a frame of a server from the beginning of `bytes`, with its length; none where it is not complete yet.
    ///
    /// # Errors
    /// Where no server may send that.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err("a frame has reserved bits, and no extension was agreed on".to_owned());
        }
        let kind = Kind::of(first & 0x0f);
        let kind =
            kind.ok_or_else(|| format!("a frame has the unknown opcode {}", first & 0x0f))?;
        let is_last = first & 0x80 != 0;
        if second & 0x80 != 0 {
            return Err("a server must not mask its frames".to_owned());
        }
        let (length, header) = match second & 0x7f {
            126 => match rest {
                [a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 4),
                _ => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(length) => (u64::from_be_bytes(*length), 10),
                None => return Ok(None),
            },
            length => (u64::from(length), 2),
        };
        let control = matches!(kind, Kind::Close | Kind::Ping | Kind::Pong);
        if control && (length > 125 || !is_last) {
            return Err("a control frame is longer than 125 bytes, or broken up".to_owned());
        }
        let length = usize::try_from(length)
            .ok()
            .filter(|it| *it <= MESSAGE_BYTES_MAX);
        let length =
            length.ok_or_else(|| format!("a frame has more than {MESSAGE_BYTES_MAX} bytes"))?;
        let Some(payload) = bytes.get(header..header + length) else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        let frame = Self {
            kind,
            is_last,
            payload,
        };
        Ok(Some((frame, header + length)))
    }

    /// The bytes of a frame of a client, whose payload is masked.
    pub(super) fn masked(kind: Kind, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut out = vec![0x80 | kind.code()];
        match u16::try_from(payload.len()) {
            Ok(length @ 0..=125) => out.push(0x80 | length as u8),
            Ok(length) => {
                out.push(0x80 | 126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&mask);
        let masked = payload.iter().zip(mask.iter().cycle());
        out.extend(masked.map(|(byte, mask)| byte ^ mask));
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_read_once_they_are_complete() {
        let long = [&[0x82, 126, 1, 0][..], &[7; 256]].concat();
        let longer = [&[0x01, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[7; 1 << 16]].concat();
        for (bytes, kind, is_last, length) in [
            (&b"\x81\x02hi"[..], Kind::Text, true, 2),
            (b"\x00\x01x", Kind::Continuation, false, 1),
            (b"\x89\x00", Kind::Ping, true, 0),
            (&long, Kind::Binary, true, 256),
            (&longer, Kind::Text, false, 1 << 16),
        ] {
            let (frame, taken) = Frame::parse(bytes).expect("good").expect("complete");
            assert_eq!((frame.kind, frame.is_last), (kind, is_last));
            assert_eq!((frame.payload.len(), taken), (length, bytes.len()));
            for end in 0..bytes.len().min(300) {
                assert_eq!(Frame::parse(&bytes[..end]), Ok(None), "{end}");
            }
        }
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        for (bytes, expected) in [
            (&[0xC1, 0][..], "reserved bits"),
            (&[0x83, 0], "opcode 3"),
            (&[0x81, 0x80, 1, 2, 3, 4], "mask"),
            (&[0x09, 0], "control frame"),
            (&[0x89, 126, 0, 200], "control frame"),
            (&[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0], "more than"),
            (
                &[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255],
                "more than",
            ),
        ] {
            let error = Frame::parse(bytes).expect_err("bad");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn frames_of_clients_are_masked() {
        // RFC 6455, section 5.7.
        let hello = Frame::masked(Kind::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(
            hello,
            [
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );
        assert_eq!(
            Frame::masked(Kind::Binary, &[0; 300], [0; 4])[..4],
            [0x82, 254, 1, 44]
        );
        assert_eq!(Frame::masked(Kind::Text, &[0; 70_000], [0; 4])[1], 255);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Frame::parse(&bytes);
        }
    }
}
