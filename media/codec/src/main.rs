//! `troupe-codec`: one transcoding job in one process.
fn main() {}
