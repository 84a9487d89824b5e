//! The whole tree through its public handle, on a paused clock, over shards made of tables.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the table shards do what they know, and tests take what they look for"
)]

mod afar;
mod balance;
mod cession;
mod crowd;
mod deaths;
mod deeds;
mod drains;
mod faults;
mod hands;
mod layers;
mod limits;
mod live;
mod moves;
mod openings;
mod operators;
mod outage;
mod owners;
mod parts;
mod path;
mod quality;
mod rooms;
mod shard;
mod shards;
mod slots;
mod stay;
mod switches;
mod table;
mod takeover;
mod talk;
mod taps;
mod threads;
mod transcoders;
mod world;
