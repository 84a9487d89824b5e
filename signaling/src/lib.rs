//! The client protocol of Troupe.
//!
//! What goes over the WebSocket (JSON-RPC 2.0, one message a text frame), the data channels, the
//! bodies of WHIP, WHEP and the admin API, the claims of tokens, and the words of errors. Types,
//! parsing and writing alone: no socket, no clock, no verification, no session description beyond
//! the trickle fragment.
//!
//! [`parse`] takes a client's frame, [`Outgoing::to_text`] makes the server's; [`ErrorType`] is the
//! one list of what can go wrong; [`schema()`] describes all of it.
//!
//! ```
//! use signaling::{ClientMessage, Outgoing, Reply};
//!
//! let frame = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}"#;
//! let incoming = signaling::parse(frame).unwrap();
//! assert!(matches!(incoming.message, ClientMessage::Ping(_)));
//! let id = incoming.id.unwrap();
//! let answer = Outgoing::Result { id, value: Reply::EMPTY };
//! assert_eq!(answer.to_text(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

mod bounds;
pub mod client_message;
pub mod data;
pub mod error;
pub mod limits;
pub mod rest;
mod rpc;
mod schema;
pub mod server_message;
pub mod token;
pub mod version;
pub mod view;
pub mod whip;

pub use client_message::{Address, ClientMessage, parse};
pub use data::{DataChannel, DataError, DataHeader};
pub use error::{ErrorDetail, ErrorType, Problem, RpcError};
pub use rpc::{FromServer, Incoming, Outgoing, ParseFailure, RequestId};
pub use schema::schema;
pub use server_message::{Reply, ServerMessage};
pub use token::{AdminRole, Claims, Grant, Grants, RoomPattern, Secret};
pub use whip::SdpFragment;

#[cfg(test)]
mod tests;
