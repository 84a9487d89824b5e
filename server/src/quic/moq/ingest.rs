//! A broadcast that a client publishes, into its room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use media_ingest::flv::{Parcel, TrackKey};
use media_ingest::moq::{CATALOG_TRACK, Catalog, CatalogReader, Rendition, Unpacker};
use media_types::MediaKind;
use moq_net::{Error, Path, broadcast, group, origin, track};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::ingest::rtmp::key::StreamKey;
use crate::ingest::rtmp::publish::Publisher;
use crate::limits::{MOQ_GROUP_BYTES_MAX, MOQ_INBOX};
use crate::live::IngestProtocol;
use crate::quic::endpoint::QuicServer;
use crate::quic::metrics;

/// How old a group may get before it is given up, where later ones have come: as long as a path
/// takes to change.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest pause in reading a source that runs ahead.
const HOLD_MAX: Duration = Duration::from_secs(1);

/// What a track's reader found.
type Found = (u64, Parcel);

/// Waits for the broadcast of the token's identity and takes it into the room, as often as it
/// comes; says in a word why it does no more.
pub(super) async fn serve(
    server: &Arc<QuicServer>,
    origin: &origin::Consumer,
    key: StreamKey,
    protocol: IngestProtocol,
) -> &'static str {
    let mut announced = origin.announced();
    while let Some(update) = announced.next().await {
        if !update.kind.is_active() {
            continue;
        }
        let name = update.prefix.as_str();
        // Publishers may say how they describe their tracks.
        let name = name.strip_suffix(".hang").unwrap_or(name);
        if name != key.identity.as_str() {
            tracing::debug!("a broadcast under another name than the token's");
            return "refused";
        }
        let key = StreamKey {
            room: key.room.clone(),
            identity: key.identity.clone(),
            token: key.token.clone(),
        };
        let Ok(publisher) = Publisher::open(&server.rtmp, 0, key, protocol).await else {
            return "refused";
        };
        let path = update.prefix.to_owned();
        let taken = Intake::open(server, origin, path.borrow(), publisher).await;
        match taken {
            Ok(intake) => match intake.run().await {
                Ended::Finished => {}
                Ended::Closed => return "closed",
                Ended::Protocol => return "protocol",
            },
            Err(error) => tracing::debug!(%error, "a broadcast without a catalog"),
        }
    }
    "client"
}

enum Ended {
    /// The client retracted it.
    Finished,
    /// The room wants it no more.
    Closed,
    /// The client broke the format or its limits.
    Protocol,
}

/// One broadcast.
struct Intake {
    server: Arc<QuicServer>,
    publisher: Publisher,
    broadcast: broadcast::Consumer,
    catalog: CatalogFeed,
    lanes: BTreeMap<String, Lane>,
    found: mpsc::Receiver<Found>,
    finder: mpsc::Sender<Found>,
    _counted: metrics::One,
}

/// One track: its reader ends with it.
struct Lane {
    rendition: Rendition,
    key: TrackKey,
    reader: AbortHandle,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Intake {
    async fn open(
        server: &Arc<QuicServer>,
        origin: &origin::Consumer,
        path: Path<'_>,
        publisher: Publisher,
    ) -> Result<Self, Error> {
        let broadcast = origin.request_broadcast(path).await?;
        let catalog = broadcast.track(CATALOG_TRACK)?.subscribe(None).await?;
        let (finder, found) = mpsc::channel(MOQ_INBOX);
        Ok(Self {
            server: Arc::clone(server),
            publisher,
            broadcast,
            catalog: CatalogFeed::new(catalog.ordered()),
            lanes: BTreeMap::new(),
            found,
            finder,
            _counted: metrics::One::broadcast("in"),
        })
    }

    async fn run(mut self) -> Ended {
        loop {
            if let Some(hold) = self.publisher.hold() {
                tokio::time::sleep(hold.min(HOLD_MAX)).await;
            }
            tokio::select! {
                biased;
                () = self.publisher.closed() => return Ended::Closed,
                catalog = self.catalog.next() => match catalog {
                    Ok(Some(catalog)) => self.follow(catalog).await,
                    Ok(None) => {
                        self.publisher.finish();
                        return Ended::Finished;
                    }
                    // The connection is lost, or the broadcast was retracted without an end.
                    Err(CatalogError::Lost) => return Ended::Finished,
                    Err(CatalogError::Broken) => return Ended::Protocol,
                },
                Some((micros, parcel)) = self.found.recv() => {
                    if matches!(parcel, Parcel::Frame { .. }) {
                        metrics::frame("in");
                    }
                    self.publisher.parcel(&*self.server.rtmp.clock, micros, parcel).await;
                }
            }
        }
    }

    /// Follows what the catalog says: tracks that come, go, or are another now.
    async fn follow(&mut self, catalog: Catalog) {
        if catalog.unsupported > 0 {
            tracing::info!(count = catalog.unsupported, "tracks that are not taken");
        }
        let wanted = &catalog.renditions;
        let gone: Vec<String> = self
            .lanes
            .iter()
            .filter(|(_, lane)| !wanted.contains(&lane.rendition))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some(lane) = self.lanes.remove(&name) {
                let stays = wanted.iter().any(|it| it.track == name);
                if !stays {
                    let end = Parcel::End { track: lane.key };
                    let clock = &*self.server.rtmp.clock;
                    self.publisher.parcel(clock, 0, end).await;
                }
            }
        }
        for rendition in catalog.renditions {
            if !self.lanes.contains_key(&rendition.track) {
                self.open_lane(rendition);
            }
        }
    }

    fn open_lane(&mut self, rendition: Rendition) {
        let kind = rendition.codec.kind();
        let taken = |id: &u8| {
            let key = TrackKey { kind, id: *id };
            self.lanes.values().any(|lane| lane.key == key)
        };
        let Some(id) = (0..=u8::MAX).find(|id| !taken(id)) else {
            return;
        };
        let track = match self.broadcast.track(&rendition.track) {
            Ok(track) => track,
            Err(error) => {
                tracing::debug!(%error, "a track that is not there");
                return;
            }
        };
        let unpacker = Unpacker::new(rendition.clone(), id);
        let key = unpacker.key();
        let reader = tokio::spawn(read(track, unpacker, self.finder.clone()));
        let lane = Lane {
            key,
            reader: reader.abort_handle(),
            rendition: rendition.clone(),
        };
        self.lanes.insert(rendition.track, lane);
    }
}

/// Reads a track to its end.
async fn read(track: track::Consumer, unpacker: Unpacker, out: mpsc::Sender<Found>) {
    let subscription = track::Subscription::default()
        .with_max_age(PATIENCE)
        .with_priority(priority(unpacker.key().kind));
    let subscribed = track.subscribe(subscription).await;
    let mut groups = match subscribed {
        Ok(groups) => groups.ordered(),
        Err(error) => {
            tracing::debug!(%error, "a track cannot be had");
            return;
        }
    };
    if let Some(config) = unpacker.config()
        && out.send((0, config)).await.is_err()
    {
        return;
    }
    let mut next = None;
    while let Ok(Some(group)) = groups.next_group().await {
        let sequence = group.sequence;
        let missing = next.map_or(0, |next| sequence.saturating_sub(next));
        metrics::groups_lost(missing);
        next = Some(sequence.saturating_add(1));
        if read_group(group, &unpacker, &out).await.is_err() {
            return;
        }
    }
}

/// Nobody wants frames any more, or the client sends too much.
struct Enough;

async fn read_group(
    mut group: group::Consumer,
    unpacker: &Unpacker,
    out: &mpsc::Sender<Found>,
) -> Result<(), Enough> {
    let (mut first, mut bytes) = (true, 0_usize);
    // What is missing of a group is not waited for any longer: the next one begins anew.
    while let Ok(Some(frame)) = group.read_frame().await {
        bytes = bytes.saturating_add(frame.payload.len());
        if bytes > MOQ_GROUP_BYTES_MAX {
            tracing::warn!("a group beyond its limit");
            return Err(Enough);
        }
        match unpacker.frame(&frame.payload, first) {
            Ok((micros, config, parcel)) => {
                for parcel in config.into_iter().chain([parcel]) {
                    out.send((micros, parcel)).await.map_err(|_| Enough)?;
                }
            }
            Err(error) => tracing::debug!(%error, "bad frame"),
        }
        first = false;
    }
    Ok(())
}

const fn priority(kind: MediaKind) -> u8 {
    match kind {
        MediaKind::Audio => 80,
        MediaKind::Video => 60,
    }
}

/// The catalog's frames.
struct CatalogFeed {
    groups: track::Ordered,
    group: Option<group::Consumer>,
    first: bool,
    reader: CatalogReader,
}

enum CatalogError {
    Lost,
    Broken,
}

impl CatalogFeed {
    fn new(groups: track::Ordered) -> Self {
        Self {
            groups,
            group: None,
            first: true,
            reader: CatalogReader::default(),
        }
    }

    /// The next catalog; `None` when the broadcast ends in order. Nothing is lost when it is
    /// dropped before it is ready.
    async fn next(&mut self) -> Result<Option<Catalog>, CatalogError> {
        loop {
            let Some(group) = &mut self.group else {
                let next = self.groups.next_group().await;
                match next.map_err(|_| CatalogError::Lost)? {
                    Some(group) => {
                        self.group = Some(group);
                        self.first = true;
                    }
                    None => return Ok(None),
                }
                continue;
            };
            // A group that is given up is followed by another.
            let Ok(Some(frame)) = group.read_frame().await else {
                self.group = None;
                continue;
            };
            let first = std::mem::replace(&mut self.first, false);
            return match self.reader.frame(&frame.payload, first) {
                Ok(catalog) => Ok(Some(catalog)),
                Err(error) => {
                    tracing::debug!(%error, "bad catalog");
                    Err(CatalogError::Broken)
                }
            };
        }
    }
}
