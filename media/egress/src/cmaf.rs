//! Fragmented MP4 (ISO/IEC 14496-12, ISO/IEC 23000-19): initialisation segments and fragments.

mod entry;
#[cfg(test)]
pub(crate) mod tests;

use bytes::{BufMut, Bytes, BytesMut};
use media_types::MediaKind;
use mp4_atom::{
    Dinf, Dref, DrefEntry, Encode, FourCC, Ftyp, Hdlr, Mdhd, Mdia, Mfhd, Minf, Moof, Moov, Mvex,
    Mvhd, Smhd, Stbl, Stsd, Tfdt, Tfhd, Tkhd, Traf, Trak, Trex, Trun, TrunEntry, TrunSamples, Url,
    Vmhd,
};

use crate::{EgressError, Frame, TrackConfig};

/// A sample that others lean on nothing for: a decoder can start (section 8.8.3.1).
const SYNC: u32 = 0x0200_0000;
/// A sample that leans on others and is no sync sample.
const NOT_SYNC: u32 = 0x0101_0000;
const MOVIE_TIMESCALE: u32 = 1_000;
const MDAT_HEADER_BYTES: usize = 8;

/// A frame with its duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When it is decoded, in ticks of its track.
    pub dts: u64,
    /// Until the next one of its track, in ticks.
    pub duration: u32,
    /// How long after decoding it is shown.
    pub composition: i32,
    /// Whether a decoder can start here.
    pub keyframe: bool,
    /// The codec's bytes.
    pub data: Bytes,
}

/// Gives frames their durations, which only the next one tells: holds one frame of a track.
#[derive(Debug, Default)]
pub struct Durations {
    held: Option<Frame>,
    usual: u32,
}

impl Durations {
    /// Without a frame.
    pub const EMPTY: Self = Self {
        held: None,
        usual: 0,
    };

    /// Takes a frame and gives back the one before, with its duration.
    pub fn push(&mut self, frame: Frame) -> Option<(Sample, std::sync::Arc<TrackConfig>)> {
        let dts = frame.dts;
        let before = self.held.replace(frame)?;
        let length = u32::try_from(dts.saturating_sub(before.dts)).unwrap_or(u32::MAX);
        self.usual = length;
        Some(sample(before, length))
    }

    /// The frame that is held, taken to last as long as the one before.
    pub fn flush(&mut self) -> Option<(Sample, std::sync::Arc<TrackConfig>)> {
        let usual = self.usual.max(1);
        self.held.take().map(|frame| sample(frame, usual))
    }

    /// The frame that waits for its duration.
    #[must_use]
    pub const fn held(&self) -> Option<&Frame> {
        self.held.as_ref()
    }

    /// How long the frames of late were, in ticks; 0 before the second.
    #[must_use]
    pub const fn usual(&self) -> u32 {
        self.usual
    }
}

fn sample(frame: Frame, duration: u32) -> (Sample, std::sync::Arc<TrackConfig>) {
    let sample = Sample {
        dts: frame.dts,
        duration,
        composition: frame.composition,
        keyframe: frame.keyframe,
        data: frame.data,
    };
    (sample, frame.config)
}

/// The samples of one track in a fragment.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The track's number in its initialisation segment.
    pub track: u32,
    /// When the first one is decoded.
    pub base: u64,
    /// In decoding order.
    pub samples: &'a [Sample],
}

/// An initialisation segment; tracks are numbered from 1 in the order given.
///
/// # Errors
/// A configuration that cannot be read.
pub fn init_segment(tracks: &[&TrackConfig]) -> Result<Bytes, EgressError> {
    let brand = FourCC::new;
    let ftyp = Ftyp {
        major_brand: brand(b"iso6"),
        minor_version: 0,
        compatible_brands: vec![brand(b"iso6"), brand(b"cmfc"), brand(b"mp41")],
    };
    let mut moov = Moov {
        mvhd: Mvhd {
            timescale: MOVIE_TIMESCALE,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: u32::MAX,
            ..Mvhd::default()
        },
        mvex: Some(Mvex::default()),
        ..Moov::default()
    };
    for (id, config) in (1..).zip(tracks) {
        moov.trak.push(trak(id, config)?);
        if let Some(mvex) = &mut moov.mvex {
            mvex.trex.push(Trex {
                track_id: id,
                default_sample_description_index: 1,
                ..Trex::default()
            });
        }
    }
    let mut out = Vec::with_capacity(1_024);
    ftyp.encode(&mut out)?;
    moov.encode(&mut out)?;
    Ok(out.into())
}

fn trak(id: u32, config: &TrackConfig) -> Result<Trak, EgressError> {
    let video = config.kind() == MediaKind::Video;
    let location = DrefEntry::Url(Url::default());
    Ok(Trak {
        tkhd: Tkhd {
            track_id: id,
            enabled: true,
            in_movie: true,
            volume: u8::from(!video).into(),
            width: config.width.into(),
            height: config.height.into(),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd {
                timescale: config.timescale,
                language: "und".to_owned(),
                ..Mdhd::default()
            },
            hdlr: Hdlr {
                handler: FourCC::new(if video { b"vide" } else { b"soun" }),
                name: if video { "video" } else { "audio" }.to_owned(),
            },
            minf: Minf {
                vmhd: video.then(Vmhd::default),
                smhd: (!video).then(Smhd::default),
                dinf: Dinf {
                    dref: Dref {
                        entries: vec![location],
                    },
                },
                stbl: Stbl {
                    stsd: Stsd {
                        codecs: vec![entry::of(config)?],
                    },
                    // Fragments hold the samples, but readers want the box to be there.
                    stco: Some(mp4_atom::Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    })
}

/// A fragment, `moof` and `mdat`, of one run a track. Empty runs are left out.
///
/// # Errors
/// More bytes than the boxes can count.
pub fn fragment(sequence: u32, runs: &[Run<'_>]) -> Result<Bytes, EgressError> {
    let runs: Vec<&Run<'_>> = runs.iter().filter(|run| !run.samples.is_empty()).collect();
    let data = |run: &Run<'_>| run.samples.iter().map(|sample| sample.data.len()).sum();
    let lengths: Vec<usize> = runs.iter().map(|run| data(run)).collect();
    let mut moof = Moof {
        mfhd: Mfhd {
            sequence_number: sequence,
        },
        traf: runs.iter().map(|run| traf(run)).collect(),
    };
    // The boxes' size does not depend on the offsets in them.
    let mut head = Vec::with_capacity(512);
    moof.encode(&mut head)?;
    let mut offset = head.len() + MDAT_HEADER_BYTES;
    for (traf, length) in moof.traf.iter_mut().zip(&lengths) {
        let here = i32::try_from(offset).map_err(|_| too_long())?;
        if let Some(trun) = traf.trun.first_mut() {
            trun.data_offset = Some(here);
        }
        offset = offset.saturating_add(*length);
    }
    head.clear();
    moof.encode(&mut head)?;
    let total: usize = lengths.iter().sum();
    let body = u32::try_from(total + MDAT_HEADER_BYTES).map_err(|_| too_long())?;
    let mut out = BytesMut::with_capacity(head.len() + MDAT_HEADER_BYTES + total);
    out.put_slice(&head);
    out.put_u32(body);
    out.put_slice(b"mdat");
    for run in runs {
        for sample in run.samples {
            out.put_slice(&sample.data);
        }
    }
    Ok(out.freeze())
}

fn too_long() -> EgressError {
    EgressError::Write("a fragment above 2 GiB".to_owned())
}

fn traf(run: &Run<'_>) -> Traf {
    let reordered = run.samples.iter().any(|sample| sample.composition != 0);
    let entry = |sample: &Sample| TrunEntry {
        duration: Some(sample.duration),
        size: u32::try_from(sample.data.len()).ok(),
        flags: Some(if sample.keyframe { SYNC } else { NOT_SYNC }),
        cts: reordered.then_some(i64::from(sample.composition)),
    };
    Traf {
        tfhd: Tfhd {
            track_id: run.track,
            default_base_is_moof: true,
            ..Tfhd::default()
        },
        tfdt: Some(Tfdt {
            base_media_decode_time: run.base,
        }),
        trun: vec![Trun {
            data_offset: Some(0),
            samples: TrunSamples::Explicit(run.samples.iter().map(entry).collect()),
        }],
        ..Traf::default()
    }
}
