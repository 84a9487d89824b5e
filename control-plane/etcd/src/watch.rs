//! Watches: a stream of etcd's, opened at the first poll.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use control_plane::{Change, ControlPlaneError, Revision, Watch};
use etcd_client::{Error, EventType, WatchClient, WatchOptions, WatchResponse, WatchStream};
use futures_util::Stream;

use crate::client::{entry, number};
use crate::error::meaning;

type Opening = Pin<Box<dyn Future<Output = Result<WatchStream, Error>> + Send>>;

enum Phase {
    Opening(Opening),
    Open(Box<WatchStream>),
    Ended,
}

/// Changes under a prefix after a revision.
pub(crate) struct EtcdWatch {
    phase: Phase,
    seen: VecDeque<Change>,
}

impl EtcdWatch {
    pub(crate) fn new(mut client: WatchClient, prefix: &str, after: Revision) -> Self {
        let prefix = prefix.to_owned();
        let from = number(after).saturating_add(1);
        let options = WatchOptions::new().with_prefix().with_start_revision(from);
        let opening = async move { client.watch(prefix, Some(options)).await };
        Self {
            phase: Phase::Opening(Box::pin(opening)),
            seen: VecDeque::new(),
        }
    }

    /// Takes what etcd says: changes, or that it ends the watch.
    fn take(&mut self, response: &WatchResponse) -> Result<(), ControlPlaneError> {
        if response.compact_revision() > 0 {
            return Err(ControlPlaneError::Compacted);
        }
        if response.canceled() {
            tracing::debug!(reason = response.cancel_reason(), "etcd ended a watch");
            return Err(ControlPlaneError::Unavailable);
        }
        self.seen
            .extend(response.events().iter().filter_map(|event| {
                let entry = entry(event.kv()?);
                Some(match event.event_type() {
                    EventType::Put => Change::Put(entry),
                    EventType::Delete => Change::Deleted {
                        key: entry.key,
                        revision: entry.revision,
                    },
                })
            }));
        Ok(())
    }
}

impl Watch for EtcdWatch {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Change, ControlPlaneError>> {
        loop {
            if let Some(change) = self.seen.pop_front() {
                return Poll::Ready(Ok(change));
            }
            let next = match &mut self.phase {
                Phase::Opening(opening) => match ready!(opening.as_mut().poll(context)) {
                    Ok(stream) => {
                        self.phase = Phase::Open(Box::new(stream));
                        continue;
                    }
                    Err(error) => Err(meaning(&error)),
                },
                Phase::Open(stream) => match ready!(pin!(stream.as_mut()).poll_next(context)) {
                    Some(Ok(response)) => Ok(response),
                    Some(Err(error)) => Err(meaning(&error)),
                    None => Err(ControlPlaneError::Unavailable),
                },
                Phase::Ended => Err(ControlPlaneError::Unavailable),
            };
            if let Err(error) = next.and_then(|response| self.take(&response)) {
                self.phase = Phase::Ended;
                return Poll::Ready(Err(error));
            }
        }
    }
}
