//! The audio level that a client measures (RFC 6464).

/// How loud the audio in a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// Decibels below the loudest possible signal: 0 is the loudest, 127 is silence.
    pub level_dbov: u8,
    /// Whether the client believes that it hears speech.
    pub voice: bool,
}

impl AudioLevel {
    /// Digital silence.
    pub const SILENCE: Self = Self {
        level_dbov: 127,
        voice: false,
    };

    /// From the byte of the header extension.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        Self {
            level_dbov: byte & 0x7f,
            voice: byte & 0x80 != 0,
        }
    }

    /// The byte of the header extension; levels above 127 are silence.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        let level = if self.level_dbov > 127 {
            127
        } else {
            self.level_dbov
        };
        level | if self.voice { 0x80 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_level() {
        for byte in 0..=u8::MAX {
            assert_eq!(AudioLevel::from_byte(byte).to_byte(), byte);
        }
        assert_eq!(AudioLevel::SILENCE.to_byte(), 0x7f);
        let loud = AudioLevel {
            level_dbov: 200,
            voice: true,
        };
        assert_eq!(loud.to_byte(), 0xff);
    }
}
