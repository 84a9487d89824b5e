//! Names and ends of sources (RFC 3550, sections 6.5 and 6.6).

use super::{COUNT_MAX, GOODBYE, SOURCE_DESCRIPTION, put_u32, words, write};
use crate::bytes;

/// The SDES item that names the sender.
const CNAME: u8 = 1;
/// Names have a length of one byte.
const NAME_BYTES_MAX: usize = 255;

/// A source description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sdes<'a> {
    count: u8,
    chunks: &'a [u8],
}

impl<'a> Sdes<'a> {
    pub(super) const fn read(count: u8, chunks: &'a [u8]) -> Self {
        Self { count, chunks }
    }

    /// Each source with its canonical name; ends where the items stop making sense.
    pub fn cnames(&self) -> impl Iterator<Item = (u32, &'a [u8])> + 'a {
        let mut rest = self.chunks;
        let chunks = (0..self.count).map_while(move |_| {
            let (chunk, after) = split_chunk(rest)?;
            rest = after;
            Some(chunk)
        });
        chunks.filter_map(|(ssrc, cname)| Some((ssrc, cname?)))
    }
}

/// A source and its name, if it is given.
type Chunk<'a> = (u32, Option<&'a [u8]>);

/// Takes one chunk off the front: a source, items, and zeros up to a multiple of four bytes.
fn split_chunk(chunks: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let ssrc = bytes::u32_at(chunks, 0)?;
    let mut cname = None;
    let mut at = 4;
    while *chunks.get(at)? != 0 {
        let [kind, length] = bytes::chunk(chunks, at)?;
        let end = at + 2 + usize::from(length);
        let text = chunks.get(at + 2..end)?;
        if kind == CNAME {
            cname = Some(text);
        }
        at = end;
    }
    // The zero that ends the items is part of the filling.
    let end = (at + 1).next_multiple_of(4);
    Some(((ssrc, cname), chunks.get(end..).unwrap_or_default()))
}

/// Sources that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bye<'a> {
    sources: &'a [u8],
}

impl<'a> Bye<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let sources = body.get(..4 * usize::from(count))?;
        Some(Self { sources })
    }

    /// The sources.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + 'a {
        words(self.sources)
    }
}

/// Appends a source description with one canonical name, of which 255 bytes count.
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let name = cname.as_bytes();
    let name = name.get(..NAME_BYTES_MAX).unwrap_or(name);
    write(out, SOURCE_DESCRIPTION, 1, |out| {
        put_u32(out, ssrc);
        out.extend_from_slice(&[CNAME, u8::try_from(name.len()).unwrap_or(0)]);
        out.extend_from_slice(name);
        // Ends the items; filled up with more of its kind.
        out.push(0);
    });
}

/// Appends goodbyes of these sources.
pub fn write_bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    for ssrcs in ssrcs.chunks(COUNT_MAX) {
        let count = u8::try_from(ssrcs.len()).unwrap_or(0);
        write(out, GOODBYE, count, |out| {
            for &ssrc in ssrcs {
                put_u32(out, ssrc);
            }
        });
    }
}
