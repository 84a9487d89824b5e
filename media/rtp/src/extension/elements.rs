//! The elements of a header extension, in either form of RFC 8285.

use crate::bytes;
use crate::header::{Element, PROFILE_ONE_BYTE, PROFILE_TWO_BYTE};

/// The id that ends a header extension in the one-byte form.
const STOP: u8 = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

/// Iterates over the elements; ends at the first that does not fit into the block.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Over the data of a header extension with this "defined by profile" field. An extension that
    /// is not of RFC 8285 has no elements.
    #[must_use]
    pub fn new(profile: u16, block: &'a [u8]) -> Self {
        let (form, rest) = match profile {
            PROFILE_ONE_BYTE => (Form::OneByte, block),
            _ if profile & 0xfff0 == PROFILE_TWO_BYTE => (Form::TwoByte, block),
            _ => (Form::OneByte, [].as_slice()),
        };
        Self { form, rest }
    }

    fn head(&self) -> Option<(u8, usize, usize)> {
        let first = self.rest.first().copied()?;
        match self.form {
            Form::OneByte => Some((first >> 4, usize::from(first & 0x0f) + 1, 1)),
            Form::TwoByte => {
                let [_, length] = bytes::chunk(self.rest, 0)?;
                Some((first, usize::from(length), 2))
            }
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        // Zero bytes between elements are padding.
        let padding = self.rest.iter().take_while(|&&byte| byte == 0).count();
        self.rest = self.rest.get(padding..).unwrap_or_default();
        let element = self.head().and_then(|(id, length, head)| {
            let end = head + length;
            let data = self.rest.get(head..end)?;
            let stop = self.form == Form::OneByte && (id == STOP || id == 0);
            (!stop).then_some((Element { id, data }, end))
        });
        let Some((element, end)) = element else {
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(end..).unwrap_or_default();
        Some(element)
    }
}

impl std::iter::FusedIterator for Elements<'_> {}
