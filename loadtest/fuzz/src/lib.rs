//! Every fuzz target as a plain function, and the replay of its corpus
#![forbid(unsafe_code)]
