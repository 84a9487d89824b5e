//! Deterministic simulation of whole rooms on one thread
#![forbid(unsafe_code)]
