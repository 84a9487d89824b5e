//! Bytes of an extension that many subscribers are sent.

use std::sync::Arc;

/// A descriptor without a structure is no longer than this; only keyframes bring longer ones.
const INLINE: usize = 22;

/// The bytes of a dependency descriptor as they came, small and cheap to clone: it goes with every
/// packet to every subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedDescriptor(Bytes);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bytes {
    Short { length: u8, bytes: [u8; INLINE] },
    Long(Arc<[u8]>),
}

impl Default for SharedDescriptor {
    fn default() -> Self {
        Self(Bytes::Short {
            length: 0,
            bytes: [0; INLINE],
        })
    }
}

impl SharedDescriptor {
    /// Keeps these bytes; none are no descriptor.
    #[must_use]
    pub fn new(descriptor: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        let inline = bytes.get_mut(..descriptor.len());
        match (inline, u8::try_from(descriptor.len())) {
            (Some(inline), Ok(length)) => {
                inline.copy_from_slice(descriptor);
                Self(Bytes::Short { length, bytes })
            }
            _ => Self(Bytes::Long(descriptor.into())),
        }
    }

    /// The bytes; empty if there is no descriptor.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Bytes::Long(bytes) => bytes,
        }
    }
}

const _: () = assert!(size_of::<SharedDescriptor>() <= 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_is_kept() {
        let all: Vec<u8> = (0..=254).collect();
        for length in [0, 1, 3, INLINE - 1, INLINE, INLINE + 1, 255] {
            let kept = SharedDescriptor::new(&all[..length]);
            assert_eq!(kept.as_slice(), &all[..length]);
            assert_eq!(kept.clone(), kept);
        }
        assert_eq!(SharedDescriptor::new(&[]), SharedDescriptor::default());
    }
}
