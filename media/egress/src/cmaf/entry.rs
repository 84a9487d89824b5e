//! Sample entries: the codec's configuration in its box.

use mp4_atom::{
    Atom, Audio, Av01, Av1c, Avc1, Avcc, Codec, Dops, Esds, Hvc1, Hvcc, Mp4a, Opus, Visual, Vp08,
    Vp09, VpcC, esds,
};

use crate::config::Format;
use crate::{EgressError, TrackConfig};

/// MPEG-4 audio and an audio stream (ISO/IEC 14496-1, tables 5 and 6).
const OBJECT_AAC: u8 = 0x40;
const STREAM_AUDIO: u8 = 5;

/// The sample entry of a track.
pub(super) fn of(config: &TrackConfig) -> Result<Codec, EgressError> {
    let visual = || Visual {
        data_reference_index: 1,
        width: config.width,
        height: config.height,
        ..Visual::default()
    };
    let record = &config.record[..];
    Ok(match config.format {
        Format::H264 => Codec::Avc1(Avc1 {
            visual: visual(),
            avcc: read::<Avcc>(config, record)?,
            btrt: None,
            colr: None,
            pasp: None,
            taic: None,
            fiel: None,
            spatial: None,
        }),
        Format::H265 => Codec::Hvc1(h265(visual(), read::<Hvcc>(config, record)?)),
        Format::Vp9 => Codec::Vp09(Vp09 {
            visual: visual(),
            vpcc: vpcc(config)?,
            btrt: None,
            colr: None,
            pasp: None,
            spatial: None,
        }),
        Format::Vp8 => Codec::Vp08(Vp08 {
            visual: visual(),
            vpcc: vpcc(config)?,
            btrt: None,
            colr: None,
            pasp: None,
            spatial: None,
        }),
        Format::Av1 => Codec::Av01(Av01 {
            visual: visual(),
            av1c: read::<Av1c>(config, record)?,
            btrt: None,
            ccst: None,
            colr: None,
            pasp: None,
            taic: None,
            spatial: None,
        }),
        Format::Opus => Codec::Opus(Opus {
            audio: audio(config),
            dops: read::<Dops>(config, record)?,
            btrt: None,
        }),
        Format::Aac => Codec::Mp4a(aac(config)),
    })
}

const fn h265(visual: Visual, hvcc: Hvcc) -> Hvc1 {
    Hvc1 {
        visual,
        hvcc,
        lhvc: None,
        btrt: None,
        colr: None,
        pasp: None,
        taic: None,
        fiel: None,
        ccst: None,
        spatial: None,
    }
}

fn read<A: Atom>(config: &TrackConfig, mut record: &[u8]) -> Result<A, EgressError> {
    A::decode_body(&mut record).map_err(|_| EgressError::Config(config.format))
}

fn vpcc(config: &TrackConfig) -> Result<VpcC, EgressError> {
    let full: Vec<u8> = [1, 0, 0, 0].iter().chain(&config.record).copied().collect();
    read(config, &full)
}

fn audio(config: &TrackConfig) -> Audio {
    Audio {
        data_reference_index: 1,
        channel_count: config.channels.into(),
        sample_size: 16,
        // Rates above 65,535 do not fit, and readers take the codec's own word.
        sample_rate: u16::try_from(config.timescale).unwrap_or(0).into(),
    }
}

fn aac(config: &TrackConfig) -> Mp4a {
    Mp4a {
        audio: audio(config),
        esds: Esds {
            es_desc: esds::EsDescriptor {
                es_id: 1,
                dec_config: esds::DecoderConfig {
                    object_type_indication: OBJECT_AAC,
                    stream_type: STREAM_AUDIO,
                    dec_specific: Some(esds::DecoderSpecific {
                        raw: config.record.to_vec(),
                        ..esds::DecoderSpecific::default()
                    }),
                    ..esds::DecoderConfig::default()
                },
                ..esds::EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    }
}
