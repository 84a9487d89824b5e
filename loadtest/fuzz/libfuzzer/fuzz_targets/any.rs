//! Any target: `TROUPE_FUZZ_TARGET` names it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static RUN: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    let run = RUN.get_or_init(|| {
        let name = std::env::var("TROUPE_FUZZ_TARGET").expect("TROUPE_FUZZ_TARGET names a target");
        fuzz::find(&name).expect("a target of that name").run
    });
    run(input);
});
