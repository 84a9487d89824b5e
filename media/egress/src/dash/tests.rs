use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::hls::{Packager, PackagerSettings};
use crate::{Frame, TrackConfig};

#[test]
fn the_newest_segment_is_listed_while_it_is_made() {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let config = Arc::new(TrackConfig::opus(2));
    for index in 0..430 {
        let frame = Frame {
            dts: index * 960,
            composition: 0,
            keyframe: true,
            config: Arc::clone(&config),
            data: Bytes::from_static(&[1; 10]),
        };
        packager.push(frame).unwrap();
    }
    let context = Context {
        epoch: Duration::from_secs(100),
        now: Duration::from_secs(110),
        suffix: "?a=1&b=2",
    };
    let text = manifest(&packager.renditions(), &context);
    assert!(text.contains("availabilityStartTime=\"1970-01-01T00:01:40.000Z\""));
    assert!(text.contains("media=\"audio_$Number$.m4s?a=1&amp;b=2\""));
    assert!(text.contains("availabilityTimeOffset=\"1.800\" availabilityTimeComplete=\"false\""));
    assert!(text.contains("codecs=\"opus\""));
    let listed: Vec<&str> = text.lines().filter(|line| line.contains("<S ")).collect();
    assert_eq!(listed.len(), 6);
    assert_eq!(listed[0].trim(), "<S t=\"0\" d=\"19200\"/>", "0.4 s");
    // Made so far: 59 or 60 frames; expected: two seconds.
    assert_eq!(listed[5].trim(), "<S t=\"355200\" d=\"96000\"/>");
    assert_eq!(text.matches('<').count(), text.matches('>').count());
}
