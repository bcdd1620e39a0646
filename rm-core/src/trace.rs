//! Where a request belongs in a distributed trace, by the rules of W3C Trace Context: for people, never for decisions.
//!
//! It travels with the request's [`Note`](crate::id::Note), and back from who let go of what was waited for. What came from a
//! peer and is no trace context counts as none.

use core::fmt;
use core::num::NonZero;
use core::str::FromStr;

use thiserror::Error;

/// The length of [`TraceContext::to_bytes`].
pub const TRACE_BYTES: usize = 25;

/// A span of a trace, as the header `traceparent` names it.
///
/// ```
/// use rm_core::trace::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace: TraceContext = header.parse()?;
/// assert!(trace.is_sampled());
/// assert_eq!(trace.to_string(), header);
/// # Ok::<(), rm_core::trace::BadTrace>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    // In two halves, so that it needs no more than the alignment of its neighbours.
    high: u64,
    low: u64,
    span: NonZero<u64>,
    flags: u8,
}

/// Not a trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not a trace context: it looks like 00-, 32 lower-case hexadecimal digits, -, 16 of them, -, 2 of them, and neither id is zero"
)]
#[non_exhaustive]
pub struct BadTrace;

impl TraceContext {
    /// The span `span_id` of the trace `trace_id`; `None` where one of them is zero, which stands for none.
    ///
    /// The lowest bit of `flags` says that the trace is recorded.
    #[must_use]
    pub const fn new(trace_id: u128, span_id: u64, flags: u8) -> Option<Self> {
        match NonZero::new(span_id) {
            Some(span) if trace_id != 0 => Some(Self {
                high: (trace_id >> 64) as u64,
                low: trace_id as u64,
                span,
                flags,
            }),
            _ => None,
        }
    }

    /// The trace. Its hexadecimal form has 32 digits.
    #[must_use]
    pub const fn trace_id(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// The span. Its hexadecimal form has 16 digits.
    #[must_use]
    pub const fn span_id(self) -> u64 {
        self.span.get()
    }

    /// The flags.
    #[must_use]
    pub const fn flags(self) -> u8 {
        self.flags
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & 1 != 0
    }

    /// Trace, span and flags, the highest byte first.
    #[must_use]
    pub fn to_bytes(self) -> [u8; TRACE_BYTES] {
        let mut bytes = [0; TRACE_BYTES];
        bytes[..16].copy_from_slice(&self.trace_id().to_be_bytes());
        bytes[16..24].copy_from_slice(&self.span_id().to_be_bytes());
        bytes[24] = self.flags;
        bytes
    }

    /// From what [`to_bytes`](Self::to_bytes) gives; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; TRACE_BYTES] = bytes.try_into().ok()?;
        let (trace, rest) = bytes.split_first_chunk::<16>()?;
        let (span, flags) = rest.split_first_chunk::<8>()?;
        let (trace, span) = (u128::from_be_bytes(*trace), u64::from_be_bytes(*span));
        Self::new(trace, span, flags[0])
    }
}

impl FromStr for TraceContext {
    type Err = BadTrace;

    /// From a header `traceparent`. Of a later version, what this one knows is read, as the standard wants it.
    fn from_str(header: &str) -> Result<Self, BadTrace> {
        let mut parts = header.splitn(5, '-');
        let mut part = |digits| hex(parts.next()?, digits);
        let version = part(2).ok_or(BadTrace)?;
        let trace = part(32).ok_or(BadTrace)?;
        let span = part(16).ok_or(BadTrace)? as u64;
        let flags = part(2).ok_or(BadTrace)? as u8;
        // Version 255 is none, and this one ends here.
        if version == 0xff || version == 0 && parts.next().is_some() {
            return Err(BadTrace);
        }
        Self::new(trace, span, flags).ok_or(BadTrace)
    }
}

/// That many lower-case digits as a number.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

impl fmt::Display for TraceContext {
    /// As a header `traceparent`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span, flags) = (self.trace_id(), self.span, self.flags);
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(header: &str) -> Option<TraceContext> {
        header.parse().ok()
    }

    #[test]
    fn a_header_is_read_and_written() {
        let trace = parse(HEADER).expect("a good one");
        assert_eq!(trace.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(trace.span_id(), 0x00f0_67aa_0ba9_02b7);
        assert!(trace.is_sampled());
        assert_eq!(trace.to_string(), HEADER);
        assert_eq!(TraceContext::from_bytes(&trace.to_bytes()), Some(trace));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = HEADER.replacen("00", "cc", 1);
        assert_eq!(parse(&later), parse(HEADER));
        assert_eq!(parse(&format!("{later}-what-is-new")), parse(HEADER));
    }

    #[test]
    fn whatever_else_is_none() {
        let bad = [
            String::new(),
            HEADER.to_uppercase(),
            HEADER.replacen("00", "ff", 1),
            format!("{HEADER}-more"),
            format!("{HEADER}0"),
            HEADER.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            HEADER.replace("00f067aa0ba902b7", &"0".repeat(16)),
            HEADER.replace("4bf9", "+bf9"),
            HEADER.replace('-', "_"),
        ];
        for header in bad {
            assert_eq!(header.parse::<TraceContext>(), Err(BadTrace), "{header}");
        }
    }

    #[test]
    fn bytes_of_another_length_or_with_a_zero_id_are_none() {
        let bytes = parse(HEADER).expect("a good one").to_bytes();
        assert_eq!(TraceContext::from_bytes(&bytes[1..]), None);
        assert_eq!(TraceContext::from_bytes(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(TraceContext::from_bytes(&[0; TRACE_BYTES]), None);
        assert_eq!(TraceContext::new(1, 0, 1), None);
    }
}
