//! A low-latency DASH manifest (ISO/IEC 23009-1; DASH-IF low-latency modes) over the HLS window.
//!
//! Segments are addressed by number and listed by their times; the newest is listed while it is
//! still being made, with the length that it is expected to have, and served in chunks as they
//! come. `availabilityTimeOffset` says how much earlier than its end a segment can be fetched.

use std::fmt::Write as _;
use std::time::Duration;

use media_types::MediaKind;

use crate::frame::ticks;
use crate::hls::playlist::date_time;
use crate::hls::{Rendition, Segment};

/// What the manifest says beside the renditions.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The wall clock at time 0 of the stream.
    pub epoch: Duration,
    /// The wall clock now.
    pub now: Duration,
    /// Put behind every address: `?session=…`, or nothing.
    pub suffix: &'a str,
}

/// The manifest of these renditions.
#[must_use]
pub fn manifest(renditions: &[Rendition], context: &Context<'_>) -> String {
    let longest = renditions.iter().map(|it| it.target_s).max().unwrap_or(2);
    let part = renditions.iter().map(|it| it.part_target).max();
    let part = part.unwrap_or_default().as_secs_f64();
    let ended = !renditions.is_empty() && renditions.iter().all(|it| it.ended);
    let kept = renditions
        .iter()
        .map(|it| it.segments.len())
        .max()
        .unwrap_or(0);
    let kept = u64::try_from(kept).unwrap_or(1).saturating_mul(longest);
    let mut out = String::with_capacity(4_096);
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
         profiles=\"urn:mpeg:dash:profile:isoff-live:2011,\
         http://www.dashif.org/guidelines/low-latency-live-v5\" type=\"dynamic\" \
         availabilityStartTime=\"{}\" publishTime=\"{}\" minimumUpdatePeriod=\"PT{}\" \
         minBufferTime=\"PT{:.3}S\" timeShiftBufferDepth=\"PT{kept}S\" \
         maxSegmentDuration=\"PT{longest}S\" suggestedPresentationDelay=\"PT{:.3}S\">\n",
        date_time(context.epoch),
        date_time(context.now),
        // A period of zero means: at every segment; a long one: it has ended.
        if ended {
            "1H".to_owned()
        } else {
            format!("{longest}S")
        },
        part * 2.0,
        part * 5.0,
    );
    let target_ms = part * 5_000.0;
    let _ = write!(
        out,
        " <ServiceDescription id=\"0\"><Latency target=\"{target_ms:.0}\"/></ServiceDescription>\n \
         <Period id=\"0\" start=\"PT0S\">\n"
    );
    for (id, rendition) in renditions.iter().enumerate() {
        adaptation(&mut out, id, rendition, context);
    }
    out.push_str(" </Period>\n");
    let _ = writeln!(
        out,
        " <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"{}\"/>\n</MPD>",
        date_time(context.now)
    );
    out
}

fn adaptation(out: &mut String, id: usize, rendition: &Rendition, context: &Context<'_>) {
    let config = &rendition.config;
    let (name, suffix) = (rendition.name(), context.suffix.replace('&', "&amp;"));
    let codecs = &config.codecs;
    let bandwidth = rendition.bandwidth.max(100_000);
    let shape = match rendition.kind {
        MediaKind::Video => format!("width=\"{}\" height=\"{}\"", config.width, config.height),
        MediaKind::Audio => format!("audioSamplingRate=\"{}\"", config.timescale),
    };
    // Only segments of one initialisation can stand in one period.
    let init = rendition.segments.back().map_or(1, |segment| segment.init);
    let segments: Vec<&Segment> = rendition
        .segments
        .iter()
        .filter(|segment| segment.init == init)
        .map(|segment| &**segment)
        .collect();
    let first = segments.first().map_or(0, |segment| segment.number);
    let ahead = rendition.target_s as f64 - rendition.part_target.as_secs_f64();
    let _ = write!(
        out,
        "  <AdaptationSet id=\"{id}\" contentType=\"{name}\" mimeType=\"{name}/mp4\" \
         segmentAlignment=\"true\" startWithSAP=\"1\">\n   \
         <Representation id=\"{name}\" codecs=\"{codecs}\" bandwidth=\"{bandwidth}\" {shape}>\n    \
         <SegmentTemplate timescale=\"{}\" startNumber=\"{first}\" \
         initialization=\"{name}_init_{init}.mp4{suffix}\" media=\"{name}_$Number$.m4s{suffix}\" \
         availabilityTimeOffset=\"{:.3}\" availabilityTimeComplete=\"false\">\n     \
         <SegmentTimeline>\n",
        config.timescale,
        ahead.max(0.0),
    );
    let expected = ticks(Duration::from_secs(rendition.target_s), config.timescale);
    for segment in segments {
        let length = match segment.complete {
            true => segment.length(),
            false => segment.length().max(expected),
        };
        let start = segment.start;
        let _ = writeln!(out, "      <S t=\"{start}\" d=\"{length}\"/>");
    }
    out.push_str(
        "     </SegmentTimeline>\n    </SegmentTemplate>\n   </Representation>\n  \
         </AdaptationSet>\n",
    );
}

#[cfg(test)]
mod tests;
