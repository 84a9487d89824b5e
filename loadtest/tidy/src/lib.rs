//! A test that reads the tree: sizes, dependency table, links, metric names
#![forbid(unsafe_code)]
