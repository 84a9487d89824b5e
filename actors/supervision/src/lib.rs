//! One actor host: hard-bounded mailboxes, a panic fence, restart in place.
//!
//! actix schedules and addresses; this crate adds what supervision needs and actix lacks: a bound
//! that holds, a fence around every call of a behaviour, restarts behind the same address, and
//! notices to the parent. It knows nothing of media, rooms or the network.
//!
//! - [`Behaviour`] is what one writes: a message type and a handler.
//! - [`Host`] is the only actix actor there is; it carries a behaviour.
//! - [`Mailbox`] is how others reach it: [`Mailbox::tell`], [`Mailbox::ask`].
//! - [`Scope`] is what a handler may do: stop, set timers, run a future, spawn children.
//! - [`RestartPolicy`] decides about failures, [`Notice`] tells the parent, and [`Children`] is the
//!   parent's book.
//! - [`testing`] drives a behaviour by hand, without actix.
//!
//! Time comes from tokio's clock, so that a paused clock makes a whole tree deterministic.
//!
//! ```
//! use supervision::{Behaviour, Host, Reply, Scope, Spec};
//! use std::time::Duration;
//!
//! struct Counter(u32);
//! enum Message {
//!     Add(u32),
//!     Get(Reply<u32>),
//! }
//! impl Behaviour for Counter {
//!     type Message = Message;
//!     fn handle(&mut self, message: Message, _: &mut Scope<Self>) {
//!         match message {
//!             Message::Add(more) => self.0 += more,
//!             Message::Get(reply) => reply.send(self.0),
//!         }
//!     }
//! }
//!
//! actix_rt::System::new().block_on(async {
//!     let counter = Host::spawn(|| Counter(0), Spec::new("counter")).mailbox;
//!     counter.tell(Message::Add(2)).unwrap();
//!     let sum = counter.ask(Duration::from_secs(1), Message::Get).await;
//!     assert_eq!(sum, Ok(2));
//! });
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

mod behaviour;
mod children;
mod fence;
mod host;
mod mailbox;
mod notice;
mod policy;
mod scope;
pub mod testing;

pub use actix::ArbiterHandle as Arbiter;
pub use behaviour::{Behaviour, Goodbye};
pub use children::{Children, Outcome, Strategy};
pub use host::{Child, Host, Observer, Spec};
pub use mailbox::{AskError, Mailbox, Reply, Stopper, TellError};
pub use notice::{Exit, Notice, NoticeHook};
pub use policy::{Restart, RestartPolicy, Restarts};
pub use scope::{Scope, TimerId};
