//! How the server says what the process may have.

use crate::limits::{MEMORY_BYTES, NICENESS};

/// What the process is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Say which version it is.
    Version,
    /// Do a job.
    Run {
        /// Address space.
        memory_bytes: u64,
        /// Added to the server's.
        niceness: i32,
    },
}

impl Arguments {
    /// Reads `--memory-bytes N` and `--nice N`, or `--version`.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut memory_bytes, mut niceness) = (MEMORY_BYTES, NICENESS);
        while let Some(word) = words.next() {
            if word == "--version" {
                return Ok(Self::Version);
            }
            let value = words
                .next()
                .ok_or_else(|| format!("{word} needs a value"))?;
            let wrong = || format!("{word} is not a number it takes: {value}");
            match word.as_str() {
                "--memory-bytes" => memory_bytes = value.parse().map_err(|_| wrong())?,
                "--nice" => {
                    niceness = value
                        .parse()
                        .ok()
                        .filter(|n| (0..20).contains(n))
                        .ok_or_else(wrong)?;
                }
                _ => return Err(format!("{word} is unknown")),
            }
        }
        Ok(Self::Run {
            memory_bytes,
            niceness,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_the_server_says() {
        let run = |memory_bytes, niceness| {
            Ok(Arguments::Run {
                memory_bytes,
                niceness,
            })
        };
        assert_eq!(parse("--memory-bytes 7 --nice 10"), run(7, 10));
        assert_eq!(parse(""), run(MEMORY_BYTES, NICENESS));
        assert_eq!(parse("--version"), Ok(Arguments::Version));
    }

    #[test]
    fn what_nobody_says() {
        for line in [
            "--nice 20",
            "--nice -1",
            "--memory-bytes much",
            "--memory-bytes",
            "--x 1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
