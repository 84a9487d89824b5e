//! What an actor of ours is.

use crate::Scope;

/// When a behaviour that was asked to stop is ready to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// At once.
    Now,
    /// When it calls [`Scope::stop`] itself, say after its children have gone.
    Later,
}

/// The logic of one actor. It lives in a [`crate::Host`], which may drop it after a panic and build
/// a fresh one behind the same mailbox: whatever must survive that is kept elsewhere.
pub trait Behaviour: Sized + Unpin + 'static {
    /// One enum for everything that it can be told.
    type Message: Send + 'static;

    /// Runs before the first message of each life.
    fn started(&mut self, scope: &mut Scope<Self>) {
        let _ = scope;
    }

    /// Takes one message.
    fn handle(&mut self, message: Self::Message, scope: &mut Scope<Self>);

    /// The parent wants it gone; messages that were in the box before have been handled.
    fn stopping(&mut self, scope: &mut Scope<Self>) -> Goodbye {
        let _ = scope;
        Goodbye::Now
    }
}
