//! Numbers as credits write them: seven bits a byte, the lowest first.
//!
//! A number has one encoding only, so that equal credits have equal bytes; a longer one is refused. Small numbers
//! take one byte, the largest ten.

use crate::credit::Malformed;

/// The most bytes of one number.
pub const BYTES_MAX: usize = 10;

/// Appends `number`.
pub fn encode(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number at the start of `bytes`, and what follows it.
///
/// # Errors
/// [`Malformed`] where there is no number, or one above 64 bits, or one in more bytes than it needs.
pub fn decode(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut number = 0_u64;
    for (index, &byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * index as u32;
        // Bits that would be shifted out: the number is above 64 bits.
        if shift >= u64::BITS || bits << shift >> shift != bits {
            return Err(Malformed);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            let overlong = byte == 0 && index > 0;
            return if overlong {
                Err(Malformed)
            } else {
                Ok((number, &bytes[index + 1..]))
            };
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_with_what_follows_it() {
        for number in [0, 1, 0x7f, 0x80, 1 << 32, u64::MAX] {
            let mut bytes = Vec::new();
            encode(number, &mut bytes);
            assert!(bytes.len() <= BYTES_MAX);
            bytes.push(7);
            assert_eq!(decode(&bytes), Ok((number, &[7][..])));
        }
    }

    #[test]
    fn bytes_that_are_no_number_are_refused() {
        assert_eq!(decode(&[]), Err(Malformed));
        assert_eq!(decode(&[0x80]), Err(Malformed), "half a number");
        assert_eq!(decode(&[0x81, 0]), Err(Malformed), "an overlong number");
        let above = [&[0xff; 9][..], &[0x02]].concat();
        assert_eq!(decode(&above), Err(Malformed), "a number above 64 bits");
        assert_eq!(decode(&[0x80; 40]), Err(Malformed), "one without end");
    }
}
