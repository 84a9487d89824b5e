//! Playlists as text.

use std::fmt::Write as _;
use std::time::Duration;

use media_types::MediaKind;

use super::parts::{Rendition, Segment};
use crate::frame::duration;
use crate::limits::SEGMENTS_WITH_PARTS;

/// What the playlists of one answer have in common.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The wall clock at time 0 of the stream.
    pub epoch: Duration,
    /// Put behind every address: `?session=…`, or nothing.
    pub suffix: &'a str,
}

/// The multivariant playlist of the renditions that there are.
#[must_use]
pub fn multivariant(renditions: &[Rendition], context: &Context<'_>) -> String {
    let find = |kind| renditions.iter().find(|rendition| rendition.kind == kind);
    let (video, audio) = (find(MediaKind::Video), find(MediaKind::Audio));
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let suffix = context.suffix;
    let both = video.is_some() && audio.is_some();
    if both {
        let _ = writeln!(
            out,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",DEFAULT=YES,\
             AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"audio.m3u8{suffix}\"",
            audio.map_or(2, |audio| audio.config.channels)
        );
    }
    let codecs: Vec<&str> = [video, audio]
        .into_iter()
        .flatten()
        .map(|rendition| rendition.config.codecs.as_str())
        .collect();
    let bandwidth: u64 = renditions.iter().map(|it| it.bandwidth.max(100_000)).sum();
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"{}\"",
        codecs.join(",")
    );
    if let Some(video) = video {
        let (width, height) = (video.config.width, video.config.height);
        let _ = write!(out, ",RESOLUTION={width}x{height}");
    }
    if both {
        out.push_str(",AUDIO=\"audio\"");
    }
    let name = video.or(audio).map_or("video", Rendition::name);
    let _ = writeln!(out, "\n{name}.m3u8{suffix}");
    out
}

/// One track's playlist. `others` are reported on (RFC 8216bis, section 4.4.5.4); with `skip` old
/// segments are left out where there are enough (section 6.2.5.1).
#[must_use]
pub fn media(
    rendition: &Rendition,
    others: &[Rendition],
    skip: bool,
    context: &Context<'_>,
) -> String {
    let mut out = String::with_capacity(4_096);
    let skipped = head(&mut out, rendition, skip);
    let mut init = None;
    let rate = rendition.config.timescale;
    let count = rendition.segments.len();
    for (index, segment) in rendition.segments.iter().enumerate() {
        let listed = index >= skipped && !segment.parts.is_empty();
        if listed && segment.discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if init != Some(segment.init) {
            init = Some(segment.init);
            if listed {
                let (name, number) = (rendition.name(), segment.init);
                let suffix = context.suffix;
                let _ = writeln!(out, "#EXT-X-MAP:URI=\"{name}_init_{number}.mp4{suffix}\"");
            }
        }
        if !listed {
            continue;
        }
        let at = context.epoch.saturating_add(duration(segment.start, rate));
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(at));
        let with_parts = index + SEGMENTS_WITH_PARTS >= count;
        write_segment(&mut out, rendition, segment, with_parts, context.suffix);
    }
    if rendition.ended {
        out.push_str("#EXT-X-ENDLIST\n");
        return out;
    }
    hint(&mut out, rendition, context.suffix);
    for other in others.iter().filter(|other| other.kind != rendition.kind) {
        if let Some((number, part)) = other.edge() {
            let _ = writeln!(
                out,
                "#EXT-X-RENDITION-REPORT:URI=\"{}.m3u8{}\",LAST-MSN={number},LAST-PART={part}",
                other.name(),
                context.suffix
            );
        }
    }
    out
}

/// The tags at the top; how many segments are skipped.
fn head(out: &mut String, rendition: &Rendition, skip: bool) -> usize {
    let target = rendition.target_s;
    let part = rendition.part_target.as_secs_f64();
    let first = rendition
        .segments
        .front()
        .map_or(0, |segment| segment.number);
    let until = target.saturating_mul(6);
    // Three parts are the least that RFC 8216bis allows, and half a part more keeps a player from
    // running dry where a part is late by a frame.
    let _ = write!(
        out,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target}\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},\
         CAN-SKIP-UNTIL={until}.0\n#EXT-X-PART-INF:PART-TARGET={part:.5}\n\
         #EXT-X-MEDIA-SEQUENCE:{first}\n",
        part * 3.5,
    );
    if rendition.discontinuities_gone > 0 {
        let gone = rendition.discontinuities_gone;
        let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{gone}");
    }
    if !skip {
        return 0;
    }
    let skipped = skippable(rendition);
    if skipped > 0 {
        let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    }
    skipped
}

/// Segments further from the end than the skip boundary, six target durations.
fn skippable(rendition: &Rendition) -> usize {
    let rate = rendition.config.timescale;
    let boundary = Duration::from_secs(rendition.target_s.saturating_mul(6));
    let mut behind = Duration::ZERO;
    let mut within = 0;
    for segment in rendition.segments.iter().rev() {
        if behind > boundary {
            break;
        }
        within += 1;
        behind = behind.saturating_add(duration(segment.length(), rate));
    }
    rendition.segments.len().saturating_sub(within)
}

fn write_segment(
    out: &mut String,
    rendition: &Rendition,
    segment: &Segment,
    with_parts: bool,
    suffix: &str,
) {
    let rate = rendition.config.timescale;
    let (name, number) = (rendition.name(), segment.number);
    let seconds = |ticks| duration(ticks, rate).as_secs_f64();
    if with_parts {
        for (index, part) in segment.parts.iter().enumerate() {
            let _ = write!(
                out,
                "#EXT-X-PART:DURATION={:.5},URI=\"{name}_{number}_{index}.m4s{suffix}\"",
                seconds(part.length)
            );
            out.push_str(if part.independent {
                ",INDEPENDENT=YES\n"
            } else {
                "\n"
            });
        }
    }
    if segment.complete {
        let length = seconds(segment.length());
        let _ = writeln!(out, "#EXTINF:{length:.5},\n{name}_{number}.m4s{suffix}");
    }
}

fn hint(out: &mut String, rendition: &Rendition, suffix: &str) {
    let Some(last) = rendition.segments.back() else {
        return;
    };
    let (number, part) = if last.complete {
        (last.number + 1, 0)
    } else {
        (last.number, last.parts.len())
    };
    let name = rendition.name();
    let _ = writeln!(
        out,
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}_{number}_{part}.m4s{suffix}\""
    );
}

/// A wall-clock time as RFC 3339 with milliseconds, in UTC.
#[must_use]
pub fn date_time(unix: Duration) -> String {
    let seconds = unix.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date: H. Hinnant's algorithm for the proleptic Gregorian calendar, years from 1970.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        unix.subsec_millis()
    )
}
