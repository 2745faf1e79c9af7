//! MD5 (RFC 1321), for `hashmod` and for the CRAM-MD5 of mail servers, neither of which keeps a secret.

/// Shift amounts of the four rounds (RFC 1321, 3.4).
const SHIFTS: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];

/// The last eight bytes of the digest as a big-endian number, which is what `hashmod` divides.
pub(super) fn last_eight_bytes(data: &[u8]) -> u64 {
    let [_, _, c, d] = digest(data);
    (u64::from(c.swap_bytes()) << 32) | u64::from(d.swap_bytes())
}

/// The digest.
pub(crate) fn md5(data: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (part, word) in bytes.chunks_exact_mut(4).zip(digest(data)) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The four words of the digest, each little-endian.
fn digest(data: &[u8]) -> [u32; 4] {
    let mut padded = data.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - data.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let end = padded.len() - 8;
    padded[end..].copy_from_slice(&(data.len() as u64).wrapping_mul(8).to_le_bytes());
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.chunks_exact(64) {
        let mut words = [0u32; 16];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64 {
            let (mixed, index) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            // RFC 1321: the constant is the whole part of 2^32 times |sin(step + 1)|.
            let constant = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
            let sum = a
                .wrapping_add(mixed)
                .wrapping_add(constant)
                .wrapping_add(words[index]);
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4]));
        }
        for (word, own) in state.iter_mut().zip([a, b, c, d]) {
            *word = word.wrapping_add(own);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_rfc_1321() {
        for (text, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            let hex: String = digest(text.as_bytes())
                .iter()
                .map(|word| format!("{:08x}", word.swap_bytes()))
                .collect();
            assert_eq!(hex, expected);
        }
    }
}
