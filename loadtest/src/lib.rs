//! Load generator: swarms of publishing and subscribing bots
#![forbid(unsafe_code)]
