//! Which stream a source belongs to.
//!
//! A source is bound once: by what the offer declared, by the mid and rid in its packets, or, for
//! clients that send neither, because only one m-line can explain it.

use media_rtp::extension::{ExtensionMap, Extensions};
use media_types::{Codec, MediaKind, Mid, Rid};

use crate::error::DropReason;
use crate::limits::{SOURCES_MAX, STREAMS_MAX};
use crate::line::Line;
use crate::packet::StreamIndex;

/// What a payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadUse {
    /// Nothing that was agreed.
    Unknown,
    /// Media of this codec.
    Media(Codec),
    /// Opus with redundancy (RFC 2198).
    Red,
    /// Retransmissions of this codec (RFC 4588).
    Rtx(Codec),
}

/// A stream's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamName {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) spatial: u8,
    pub(crate) kind: MediaKind,
}

/// What a source carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) stream: StreamIndex,
    /// Retransmissions of the stream instead of the stream itself.
    pub(crate) repair: bool,
}

/// Streams, and the sources bound to them.
#[derive(Debug)]
pub(crate) struct StreamMap {
    lines: Vec<Line>,
    payloads: [PayloadUse; 128],
    extensions: ExtensionMap,
    streams: Vec<StreamName>,
    /// In order of the SSRCs.
    sources: Vec<(u32, Binding)>,
}

impl Default for StreamMap {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            payloads: [PayloadUse::Unknown; 128],
            extensions: ExtensionMap::new(),
            streams: Vec::new(),
            sources: Vec::new(),
        }
    }
}

impl StreamMap {
    /// Follows what was agreed. Streams keep their index, sources their stream.
    pub(crate) fn update(&mut self, lines: &[Line]) {
        self.lines = lines.to_vec();
        self.payloads = [PayloadUse::Unknown; 128];
        self.extensions = ExtensionMap::new();
        for line in lines {
            self.update_tables(line);
            if line.client.sends {
                self.update_streams(line);
            }
        }
    }

    fn update_tables(&mut self, line: &Line) {
        // In a bundle a number means the same on every m-line (RFC 8843, section 10.1.2).
        for (kind, id) in line.extensions.iter() {
            let _ = self.extensions.insert(kind, id);
        }
        for format in &line.formats {
            self.set_payload(format.payload_type, PayloadUse::Media(format.codec));
            if let Some(rtx) = format.rtx {
                self.set_payload(rtx, PayloadUse::Rtx(format.codec));
            }
        }
        if let Some(red) = line.red {
            self.set_payload(red, PayloadUse::Red);
        }
    }

    fn set_payload(&mut self, payload_type: u8, usage: PayloadUse) {
        if let Some(slot) = self.payloads.get_mut(usize::from(payload_type)) {
            *slot = usage;
        }
    }

    fn update_streams(&mut self, line: &Line) {
        let mut wanted: Vec<_> = (0..)
            .zip(&line.rids)
            .map(|(at, rid)| (at, Some(*rid)))
            .collect();
        if wanted.is_empty() {
            wanted.push((0, None));
        }
        for (spatial, rid) in wanted {
            let name = StreamName {
                mid: line.mid,
                rid,
                spatial,
                kind: line.kind,
            };
            match self.position(line.mid, rid) {
                Some(at) => {
                    if let Some(known) = self.streams.get_mut(at) {
                        *known = name;
                    }
                }
                None if self.streams.len() < STREAMS_MAX => self.streams.push(name),
                None => {}
            }
        }
        // With layers the order of declared sources says nothing (some clients mix it up).
        if line.rids.is_empty() {
            self.bind_declared(line);
        }
    }

    fn bind_declared(&mut self, line: &Line) {
        let stream = self.index_of(line.mid, None);
        for source in &line.sources {
            let repaired = source.rtx.map(|rtx| (rtx, true));
            for (ssrc, repair) in std::iter::once((source.ssrc, false)).chain(repaired) {
                if let Some(stream) = stream {
                    let _ = self.insert(ssrc, Binding { stream, repair });
                }
            }
        }
    }

    pub(crate) const fn extensions(&self) -> &ExtensionMap {
        &self.extensions
    }

    pub(crate) fn payload_use(&self, payload_type: u8) -> PayloadUse {
        let usage = self.payloads.get(usize::from(payload_type));
        usage.copied().unwrap_or(PayloadUse::Unknown)
    }

    pub(crate) fn name(&self, stream: StreamIndex) -> Option<&StreamName> {
        self.streams.get(usize::from(stream.0))
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// The m-line of a stream, if the client may send on it now.
    pub(crate) fn publishing_line(&self, mid: Mid) -> Option<&Line> {
        let mut lines = self.lines.iter();
        lines.find(|line| line.mid == mid && line.client.sends)
    }

    /// What a source carries, if it is known.
    pub(crate) fn binding(&self, ssrc: u32) -> Option<Binding> {
        let found = self.sources.binary_search_by_key(&ssrc, |source| source.0);
        let found = found.ok().and_then(|at| self.sources.get(at));
        found.map(|source| source.1)
    }

    /// Finds out what a new source carries, and remembers it.
    pub(crate) fn bind(
        &mut self,
        ssrc: u32,
        usage: PayloadUse,
        extensions: &Extensions,
    ) -> Result<Binding, DropReason> {
        if usage == PayloadUse::Unknown {
            return Err(DropReason::UnknownStream);
        }
        let binding = self.explain(usage, extensions);
        let binding = binding.ok_or(DropReason::UnknownStream)?;
        self.insert(ssrc, binding)
    }

    fn explain(&self, usage: PayloadUse, extensions: &Extensions) -> Option<Binding> {
        let rid = extensions.repaired_rid.or(extensions.rid);
        let repair = matches!(usage, PayloadUse::Rtx(_));
        let line = match extensions.mid {
            Some(mid) => self.publishing_line(mid)?,
            None => self.only_line(usage, rid)?,
        };
        // A layer that the offer did not announce, or a source that does not say which it is.
        let rid = rid.filter(|_| !line.rids.is_empty());
        let stream = self.index_of(line.mid, rid)?;
        Some(Binding { stream, repair })
    }

    /// The one m-line that can send this: of those with the layer or the payload's kind, the only
    /// one, or the only one of which no source is known yet.
    fn only_line(&self, usage: PayloadUse, rid: Option<Rid>) -> Option<&Line> {
        let repair = matches!(usage, PayloadUse::Rtx(_));
        let (PayloadUse::Media(codec) | PayloadUse::Rtx(codec)) = usage else {
            let audio = |line: &&Line| line.red.is_some() && line.client.sends;
            let mut lines = self.lines.iter().filter(audio);
            return lines.next().filter(|_| lines.next().is_none());
        };
        let fits = move |line: &&Line| {
            let offered = line.formats.iter().any(|format| format.codec == codec);
            let layer = rid.is_none_or(|rid| line.rids.contains(&rid));
            line.client.sends && offered && layer
        };
        let mut fitting = self.lines.iter().filter(fits);
        let first = fitting.next();
        if first.is_some() && fitting.next().is_none() {
            return first;
        }
        let mut unbound = self.lines.iter().filter(fits).filter(|line| {
            let stream = self.index_of(line.mid, rid);
            let mut bindings = self.sources.iter().map(|source| source.1);
            !bindings.any(|bound| Some(bound.stream) == stream && bound.repair == repair)
        });
        unbound.next().filter(|_| unbound.next().is_none())
    }

    fn insert(&mut self, ssrc: u32, binding: Binding) -> Result<Binding, DropReason> {
        let place = self.sources.binary_search_by_key(&ssrc, |source| source.0);
        match place {
            Ok(at) => {
                if let Some(source) = self.sources.get_mut(at) {
                    source.1 = binding;
                }
            }
            Err(_) if self.sources.len() >= SOURCES_MAX => return Err(DropReason::Sources),
            Err(at) => self.sources.insert(at, (ssrc, binding)),
        }
        Ok(binding)
    }

    fn index_of(&self, mid: Mid, rid: Option<Rid>) -> Option<StreamIndex> {
        let at = self.position(mid, rid)?;
        u16::try_from(at).ok().map(StreamIndex)
    }

    fn position(&self, mid: Mid, rid: Option<Rid>) -> Option<usize> {
        let mut streams = self.streams.iter();
        streams.position(|name| name.mid == mid && name.rid == rid)
    }
}

#[cfg(test)]
mod tests;
