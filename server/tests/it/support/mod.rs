//! Real processes to test with, and clients for them.

pub(crate) mod etcd;
pub(crate) mod follower;
pub(crate) mod member;
pub(crate) mod path;
pub(crate) mod receiver;
mod server;

pub(crate) use server::{Server, eventually, free_port, get};
