use bytes::Buf as _;
use mp4_atom::{Decode as _, DecodeMaybe as _, Header};
use proptest::prelude::*;

use super::*;
use crate::Format;

const SPS: [u8; 13] = [
    0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x17, 0xfc, 0xb0, 0x0f, 0x08,
];

pub(crate) fn h264() -> TrackConfig {
    let pictures = [Bytes::from_static(&[0x68, 0xce, 0x3c, 0x80])];
    let record = crate::params::h264::record(&SPS, &pictures).unwrap();
    TrackConfig::from_avcc(record).unwrap()
}

#[test]
fn every_codec_has_its_entry() {
    let vpcc = Bytes::from_static(&[0, 10, 0x82, 2, 2, 2, 0, 0]);
    let vp9 = TrackConfig::from_vpcc(Format::Vp9, vpcc.clone(), (320, 180)).unwrap();
    let vp8 = TrackConfig::from_vpcc(Format::Vp8, vpcc, (320, 180)).unwrap();
    let aac = TrackConfig::from_asc(Bytes::from_static(&[0x11, 0x90])).unwrap();
    for video in [h264(), vp9, vp8] {
        for audio in [TrackConfig::opus(2), aac.clone()] {
            let init = init_segment(&[&video, &audio]).unwrap();
            let mut read = &init[..];
            Ftyp::decode(&mut read).unwrap();
            let moov = Moov::decode(&mut read).unwrap();
            assert!(!read.has_remaining());
            assert_eq!(moov.trak.len(), 2);
            let [pictures, sound] = &moov.trak[..] else {
                panic!("two tracks");
            };
            assert_eq!(pictures.mdia.mdhd.timescale, 90_000);
            assert_eq!(pictures.tkhd.width.integer(), video.width);
            assert_eq!(sound.mdia.mdhd.timescale, 48_000);
            assert_eq!(sound.mdia.hdlr.handler, FourCC::new(b"soun"));
            assert_eq!(
                pictures.mdia.minf.stbl.stsd.codecs[0],
                entry::of(&video).unwrap()
            );
        }
    }
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let one = (1..9_000_u32, -3_000..3_000_i32, any::<bool>(), 0..400_usize);
    prop::collection::vec(one, 1..20).prop_map(|all| {
        let mut dts = 0;
        all.into_iter()
            .map(|(duration, composition, keyframe, length)| {
                let sample = Sample {
                    dts,
                    duration,
                    composition,
                    keyframe,
                    data: Bytes::from(vec![length.to_le_bytes()[0]; length]),
                };
                dts += u64::from(duration);
                sample
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn fragments_are_read_back(one in samples(), two in samples(), base in 0..1_u64 << 40) {
        let runs = [
            Run { track: 1, base, samples: &one },
            Run { track: 2, base: base / 2, samples: &two },
        ];
        let bytes = fragment(7, &runs).unwrap();
        let mut read = &bytes[..];
        let moof = Moof::decode_maybe(&mut read).unwrap().unwrap();
        let mdat = Header::decode(&mut read).unwrap();
        prop_assert_eq!(mdat.size, Some(read.len()));
        prop_assert_eq!(moof.mfhd.sequence_number, 7);
        for (traf, run) in moof.traf.iter().zip(&runs) {
            prop_assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, run.base);
            let trun = &traf.trun[0];
            let mut at = usize::try_from(trun.data_offset.unwrap()).unwrap();
            prop_assert_eq!(trun.samples.len(), run.samples.len());
            for (entry, sample) in trun.samples.iter().zip(run.samples) {
                let size = usize::try_from(entry.size.unwrap()).unwrap();
                prop_assert_eq!(&bytes[at..at + size], &sample.data[..]);
                prop_assert_eq!(entry.duration, Some(sample.duration));
                prop_assert_eq!(entry.cts.unwrap_or(0), i64::from(sample.composition));
                prop_assert_eq!(entry.flags == Some(SYNC), sample.keyframe);
                at += size;
            }
        }
    }
}
