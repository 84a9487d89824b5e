//! What MoQ publishers send: catalogs with their changes, and frames in their containers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use media_ingest::flv::Parcel;
use media_ingest::limits::CATALOG_BYTES_MAX;
use media_ingest::moq::{Catalog, CatalogReader, Unpacker};
use media_ingest::source::Source;

/// `length, catalog` and then `flags and track, length, frame` as often as there are bytes; the
/// first bit of flags begins a group, the second changes the catalog instead.
pub(crate) fn moq(bytes: &[u8]) {
    #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
    let now = Instant::now();
    let mut rest = bytes;
    let Some(first) = take(&mut rest) else {
        return;
    };
    let mut reader = CatalogReader::default();
    let mut unpackers = follow(reader.frame(first, true).unwrap_or_default());
    let mut source = Source::default();
    while let Some((&flags, more)) = rest.split_first() {
        rest = more;
        let Some(part) = take(&mut rest) else {
            return;
        };
        if flags & 0x40 != 0 {
            if let Ok(catalog) = reader.frame(part, flags & 0x80 != 0) {
                unpackers = follow(catalog);
            }
            continue;
        }
        let Some(unpacker) = unpackers.get(usize::from(flags & 0x07)) else {
            continue;
        };
        let frame = Bytes::copy_from_slice(part);
        let Ok((micros, config, parcel)) = unpacker.frame(&frame, flags & 0x80 != 0) else {
            continue;
        };
        assert!(matches!(&parcel, Parcel::Frame { track, .. } if *track == unpacker.key()));
        for parcel in unpacker.config().into_iter().chain(config).chain([parcel]) {
            // A record or a frame may break its format; the next one may do.
            let _taken = source.handle_parcel(now, Duration::from_secs(1), micros, parcel);
        }
        while source.poll_event().is_some() {}
    }
}

/// What a catalog says is what it says when it is written again.
fn follow(catalog: Catalog) -> Vec<Unpacker> {
    let known = Catalog {
        unsupported: 0,
        ..catalog
    };
    let written = known.write();
    if written.len() <= CATALOG_BYTES_MAX {
        assert_eq!(Catalog::read(&written), Ok(known.clone()));
    }
    let renditions = known.renditions.into_iter().zip(0..);
    renditions
        .map(|(rendition, id)| Unpacker::new(rendition, id))
        .collect()
}

/// The bytes behind their length.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, more) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length)).min(more.len());
    let (part, more) = more.split_at_checked(length)?;
    *rest = more;
    Some(part)
}
