//! `troupe-codec`: one transcoding job in one process, the only program of ours that links libav.
//!
//! The server starts it with a socket as standard input and speaks [`media_transcode::wire`] over
//! it. Before the first byte is read, [`sandbox`] has given up all that a codec does not need. A
//! crash, an exploit or a leak in a codec therefore ends one job, and the server starts another.
//!
//! [`conversation`] keeps the wire's order, [`backend`] picks what does the job, `audio` and
//! `video` are the jobs, and `av` is libav behind types.
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

mod arguments;
mod audio;
mod av;
mod backend;
mod conversation;
mod limits;
mod nal;
mod rate;
mod sandbox;
mod socket;
mod timeline;
mod video;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use media_transcode::wire::{Cause, VERSION};

use crate::arguments::Arguments;
use crate::socket::Socket;

/// Not started as it must be (`EX_USAGE` of sysexits).
const EXIT_USAGE: u8 = 64;
/// The job failed, or the process did (`EX_SOFTWARE`).
const EXIT_FAILED: u8 = 70;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("troupe-codec: {problem}; it is started by troupe, see docs/codec.md");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let Arguments::Run {
        memory_bytes,
        niceness,
    } = arguments
    else {
        println!(
            "troupe-codec {}, wire {VERSION}, {}",
            env!("CARGO_PKG_VERSION"),
            av::version()
        );
        return ExitCode::SUCCESS;
    };
    // A socket, or there is nobody to talk to.
    let Some(mut socket) = Socket::new() else {
        eprintln!("troupe-codec: standard input is no socket; it is started by troupe");
        return ExitCode::from(EXIT_USAGE);
    };
    if let Err(error) = sandbox::enter(memory_bytes, niceness) {
        conversation::excuse(&mut socket, Cause::Internal, &error.to_string());
        return ExitCode::from(EXIT_FAILED);
    }
    run(&mut socket)
}

fn run(socket: &mut Socket) -> ExitCode {
    let held = catch_unwind(AssertUnwindSafe(|| conversation::hold(&mut *socket)));
    let (cause, text) = match held {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(ended)) => match ended.cause() {
            Some(cause) => (cause, ended.to_string()),
            None => return ExitCode::from(EXIT_FAILED),
        },
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            (
                Cause::Internal,
                text.unwrap_or_else(|| "it panicked".to_owned()),
            )
        }
    };
    conversation::excuse(socket, cause, &text);
    ExitCode::from(EXIT_FAILED)
}
