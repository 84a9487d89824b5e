//! The listeners against rooms that are made up: what goes over the wire, byte by byte.

mod admin;
mod fake;
mod listeners;
mod pages;
mod signal;
mod signal_limits;
mod whip;
