//! `troupe admin`: the admin API of a running worker, from the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use media_types::{Clock, Identity, PeerId, RoomName, WorkerId};
use serde_json::{Value, json};
use signaling::token::{AdminRole, RoomPattern};
use signaling::{Address, Grants};

use super::{CliError, SourceArgs, load};
use crate::auth::{TokenRequest, issue};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::ops::flags::Flag;
use crate::tls;

mod acts;
mod audit;
mod worker;

use acts::{EgressAct, RecordingAct, RoomAct};
use worker::Worker;

/// How long a token lives that is made for one call.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// Who asks, where the token is made here.
const OPERATOR: &str = "troupe-admin";

#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// The admin listener; that of the settings, if not given
    #[arg(long)]
    url: Option<String>,
    /// A PEM file with the authority of its certificate; `admin.tls_ca`, if not given
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A token with a role; made with the first key of the settings that can sign, if not given
    #[arg(long, env = "TROUPE_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Lists the rooms of all workers
    Rooms,
    /// One room
    #[command(subcommand)]
    Room(RoomAct),
    /// Lists the peers of a room
    Peers { room: RoomName },
    /// Sends a message into a room
    Send {
        room: RoomName,
        /// `room` or `peer:ID`
        #[arg(long, default_value = "room")]
        to: Address,
        #[arg(long)]
        topic: String,
        /// JSON; what is none is sent as text
        payload: String,
    },
    /// Mutes the tracks of a peer
    Mute {
        room: RoomName,
        peer: Identity,
        /// This track alone
        #[arg(long)]
        track: Option<String>,
        /// The other way round
        #[arg(long)]
        unmute: bool,
    },
    /// Removes a peer
    Kick { room: RoomName, peer: Identity },
    /// Has tokens believed no more, by one of three
    #[command(group = ArgGroup::new("whose").required(true))]
    Revoke {
        /// The token with this id
        #[arg(long, group = "whose")]
        jti: Option<String>,
        /// All tokens of this identity
        #[arg(long, group = "whose")]
        sub: Option<Identity>,
        /// All tokens of this key
        #[arg(long, group = "whose")]
        kid: Option<String>,
        /// Ends their sessions too
        #[arg(long)]
        end: bool,
    },
    /// Lists the workers
    Workers,
    /// Shows the workers and the rooms that they own
    Topology,
    /// Moves a room to another worker
    Migrate {
        room: RoomName,
        /// That one; the one that suits best, if not given
        #[arg(long)]
        to: Option<WorkerId>,
    },
    /// Moves a room to another shard of its worker
    Shard {
        room: RoomName,
        /// That one; the least busy, if not given
        #[arg(long)]
        to: Option<u16>,
    },
    /// Lists the rooms that move
    Migrations,
    /// Empties a worker: its rooms move to others
    Drain { worker: WorkerId },
    /// Shows the metrics of a worker
    Metrics { worker: WorkerId },
    /// Lists the live sources of all workers
    Ingests,
    /// Sends a live source away
    CloseIngest { id: PeerId },
    /// Lists the transcoding jobs of all workers
    Transcoders,
    /// Sets the bitrate of a transcoding job of the worker that is asked
    Bitrate {
        job: String,
        /// Kilobits a second
        #[arg(long)]
        kbps: u32,
    },
    /// Lists the connections by QUIC of all workers
    Quic,
    /// Streams that are watched by HTTP
    #[command(subcommand)]
    Egress(EgressAct),
    /// Recordings of the worker that is asked
    #[command(subcommand)]
    Recording(RecordingAct),
    /// Lists what happened on all workers
    Events {
        /// After the event with this number
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    /// Lists who is posted what happens, and how many events wait
    Webhooks,
    /// Feature flags, and the switches video-off, layers-capped, chat-off and joins-off
    #[command(subcommand)]
    Flag(FlagAct),
    /// Sections of the configuration that change while workers run
    #[command(subcommand)]
    Config(ConfigAct),
    /// The audit log
    #[command(subcommand)]
    Audit(AuditAct),
}

#[derive(Debug, Subcommand)]
enum FlagAct {
    /// Lists all flags
    List,
    /// Shows one
    Show { name: String },
    /// Writes one, for all workers; what is not said is as by default
    Set {
        name: String,
        /// For nobody
        #[arg(long)]
        off: bool,
        /// The share of rooms, in percent
        #[arg(long, default_value_t = 100)]
        percent: u8,
        /// Rooms beside that share, between commas; a name may end in `*`
        #[arg(long, value_delimiter = ',')]
        rooms: Vec<RoomPattern>,
        /// Peers, in whichever room, between commas
        #[arg(long, value_delimiter = ',')]
        peers: Vec<Identity>,
        /// JSON
        #[arg(long, value_parser = json_value)]
        value: Option<Value>,
    },
    /// Deletes one
    Delete { name: String },
}

#[derive(Debug, Subcommand)]
enum ConfigAct {
    /// Shows what is in force, what of it lies in the store, and what is refused
    Show,
    /// Writes a section into the store, as in `limits '{"joins":{"per_second":50,"burst":100}}'`
    Set {
        section: String,
        #[arg(value_parser = json_value)]
        value: Value,
    },
    /// Takes a section out of the store
    Reset { section: String },
}

#[derive(Debug, Subcommand)]
enum AuditAct {
    /// Lists what operators did, on all workers
    List,
    /// Checks that no entry was changed
    Verify,
}

fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// What is asked of the worker: the method, the path under `/admin/v1`, a body.
#[derive(Debug, PartialEq)]
struct Call(&'static str, String, Option<Value>);

impl Act {
    fn call(self) -> Call {
        match self {
            Self::Rooms => Call("GET", "rooms?limit=1000".to_owned(), None),
            Self::Peers { room } => Call("GET", format!("rooms/{room}/peers?limit=1000"), None),
            Self::Send {
                room,
                to,
                topic,
                payload,
            } => {
                let payload = serde_json::from_str(&payload).unwrap_or(Value::String(payload));
                let body = json!({ "to": to, "topic": topic, "payload": payload });
                Call("POST", format!("rooms/{room}/send"), Some(body))
            }
            Self::Mute {
                room,
                peer,
                track,
                unmute,
            } => {
                let body = json!({ "trackId": track, "muted": !unmute });
                let path = format!("rooms/{room}/peers/{peer}/mute");
                Call("POST", path, Some(body))
            }
            Self::Kick { room, peer } => Call("DELETE", format!("rooms/{room}/peers/{peer}"), None),
            Self::Room(act) => act.call(),
            Self::Migrate { room, to } => {
                let body = to.map_or_else(|| json!({}), |to| json!({ "to": to }));
                Call("POST", format!("rooms/{room}/migrate"), Some(body))
            }
            Self::Shard { room, to } => {
                let body = to.map_or_else(|| json!({}), |to| json!({ "to": to }));
                Call("POST", format!("rooms/{room}/shard"), Some(body))
            }
            Self::Migrations => get("migrations?limit=1000"),
            Self::Drain { worker } => Call("POST", format!("workers/{worker}/drain"), None),
            Self::Metrics { worker } => get(&format!("workers/{worker}/metrics")),
            Self::CloseIngest { id } => Call("DELETE", format!("ingests/{id}"), None),
            Self::Transcoders => get("transcoders?limit=1000"),
            Self::Bitrate { job, kbps } => bitrate(&job, kbps),
            Self::Quic => get("quic?limit=1000"),
            Self::Egress(act) => act.call(),
            Self::Recording(act) => act.call(),
            Self::Workers => get("workers?limit=1000"),
            Self::Topology => get("topology"),
            Self::Ingests => get("ingests?limit=1000"),
            Self::Events { after } => get(&format!("events?limit=1000&after={after}")),
            Self::Webhooks => get("webhooks?limit=1000"),
            Self::Flag(act) => act.call(),
            Self::Config(act) => act.call(),
            // Verifying asks for all pages by itself.
            Self::Audit(AuditAct::List | AuditAct::Verify) => get("audit?limit=1000"),
            Self::Revoke { jti, sub, kid, end } => {
                let body = json!({ "jti": jti, "sub": sub, "kid": kid, "end": end });
                Call("POST", "tokens/revoke".to_owned(), Some(body))
            }
        }
    }
}

impl FlagAct {
    fn call(self) -> Call {
        match self {
            Self::List => get("flags?limit=1000"),
            Self::Show { name } => get(&format!("flags/{name}")),
            Self::Set {
                name,
                off,
                percent,
                rooms,
                peers,
                value,
            } => {
                let flag = Flag {
                    enabled: !off,
                    percent,
                    rooms,
                    peers,
                    value: value.unwrap_or_default(),
                    ..Flag::default()
                };
                Call("PUT", format!("flags/{name}"), Some(json!(flag)))
            }
            Self::Delete { name } => Call("DELETE", format!("flags/{name}"), None),
        }
    }
}

impl ConfigAct {
    fn call(self) -> Call {
        let patch = |section: String, value: Value| {
            let body = serde_json::Map::from_iter([(section, value)]);
            Call("PATCH", "config".to_owned(), Some(Value::Object(body)))
        };
        match self {
            Self::Show => get("config"),
            Self::Set { section, value } => patch(section, value),
            Self::Reset { section } => patch(section, Value::Null),
        }
    }
}

fn bitrate(job: &str, kbps: u32) -> Call {
    let body = json!({ "bitrateKbps": kbps });
    Call("PATCH", format!("transcoders/{job}"), Some(body))
}

fn get(path: &str) -> Call {
    Call("GET", path.to_owned(), None)
}

/// Asks a worker; gives its answer, as it is to be printed.
pub(super) fn run(args: AdminArgs) -> Result<String, CliError> {
    let config = load(args.sources, false)?;
    let token = match args.token {
        Some(token) => token,
        None => own_token(&config)?,
    };
    let base = args.url.unwrap_or_else(|| config.admin.local_url());
    let client = match (&args.ca, &config.admin.tls_ca) {
        (Some(file), _) => tls::client("--ca", Some(file)),
        (None, file) => tls::client(tls::CA_SETTING, file.as_deref()),
    };
    let worker = Worker::new(base, token, client?)?;
    if let Act::Audit(AuditAct::Verify) = args.act {
        return audit::check(&worker);
    }
    worker.ask(&args.act.call())
}

fn own_token(config: &Config) -> Result<String, CliError> {
    let mut keys = config.auth.keys.iter();
    let key = keys.find(|key| key.secret.is_some());
    let key = key.ok_or(CliError::Key(None))?;
    let mut grants = Grants::for_room(RoomPattern::Prefix(String::new()));
    grants.admin = Some(AdminRole::Admin);
    let request = TokenRequest {
        identity: OPERATOR.parse().map_err(|_| CliError::Key(None))?,
        grants,
        ttl: TOKEN_LIFE,
        once: false,
    };
    issue(key, request, SystemClock.unix()).map_err(|_unusable| CliError::Key(None))
}

#[cfg(test)]
mod tests;
