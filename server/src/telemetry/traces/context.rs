//! W3C Trace Context: what a span is part of, as it goes from process to process.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

/// A span, and whether it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) sampled: bool,
}

impl Context {
    /// Reads a `traceparent` (W3C Trace Context, section 3.2); what is none counts as absent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let flags = parts.next()?;
        // Later versions may say more behind what we read.
        let later = !matches!(version, "00" | "ff") && bytes::<1>(version).is_some();
        if !later && (version != "00" || parts.next().is_some()) {
            return None;
        }
        let (trace, span) = (bytes::<16>(trace)?, bytes::<8>(span)?);
        let [flags] = bytes::<1>(flags)?;
        let good = trace != [0; 16] && span != [0; 8];
        good.then_some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// The same as a `traceparent`.
    #[must_use]
    pub fn text(&self) -> String {
        let flags = u8::from(self.sampled);
        format!("00-{}-{}-{flags:02x}", hex(&self.trace), hex(&self.span))
    }

    /// A new trace; so many of a hundred are recorded.
    pub(super) fn root(percent: u8) -> Self {
        let mut all = [0; 25];
        aws_lc_rs::rand::fill(&mut all).expect("the system has randomness");
        let (trace, rest) = all.split_at(16);
        let (span, dice) = rest.split_at(8);
        let dice = u16::from(dice.first().copied().unwrap_or_default()) * 100 / 256;
        Self {
            trace: trace.try_into().unwrap_or_default(),
            span: span.try_into().unwrap_or_default(),
            sampled: dice < u16::from(percent),
        }
    }

    /// Another span of the same trace.
    pub(super) fn child(&self) -> Self {
        let mut span = [0; 8];
        aws_lc_rs::rand::fill(&mut span).expect("the system has randomness");
        Self { span, ..*self }
    }

    /// One that all who know this text compute alike.
    pub(super) fn of(text: &str) -> Self {
        let hash = digest(&SHA256, text.as_bytes());
        let (trace, rest) = hash.as_ref().split_at(16);
        let (span, _) = rest.split_at(8);
        Self {
            trace: trace.try_into().unwrap_or_default(),
            span: span.try_into().unwrap_or_default(),
            sampled: true,
        }
    }

    pub(super) fn as_json(&self) -> Value {
        json!({ "traceId": hex(&self.trace), "spanId": hex(&self.span) })
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case hexadecimal digits of exactly so many bytes.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 2 * N || !text.bytes().all(digits) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_is_read_and_written() {
        let context = Context::parse(GOOD).unwrap();
        assert!(context.sampled);
        assert_eq!(context.text(), GOOD);
        let child = context.child();
        assert_eq!(child.trace, context.trace);
        assert_ne!(child.span, context.span);
        let later = GOOD.replacen("00", "cc", 1) + "-more";
        assert_eq!(Context::parse(&later), Some(context));
        assert!(!Context::parse(&GOOD.replace("-01", "-00")).unwrap().sampled);
    }

    #[test]
    fn what_is_no_context_is_none() {
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let more = format!("{GOOD}-more");
        let never = GOOD.replacen("00", "ff", 1);
        for text in [
            "",
            "00-1-2-3",
            zero,
            &more,
            &never,
            &GOOD.to_uppercase(),
            "00-é",
        ] {
            assert_eq!(Context::parse(text), None, "{text}");
        }
    }

    #[test]
    fn shares_of_traces_are_recorded() {
        let count = |percent| (0..200).filter(|_| Context::root(percent).sampled).count();
        assert_eq!((count(0), count(100)), (0, 200));
        assert_eq!(Context::of("a"), Context::of("a"));
        assert_ne!(Context::of("a").trace, Context::of("b").trace);
    }
}
