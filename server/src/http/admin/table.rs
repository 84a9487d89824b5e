//! The routes of the admin API: one table, from which both the listener and `openapi.json` are
//! made.

use actix_web::{Resource, web};
use schemars::SchemaGenerator;
use serde_json::Value;
use signaling::AdminRole;
use signaling::rest::{Page, PeerStatus, RoomPatch, RoomSettings, RoomStatus};

use super::{act, cluster, egress, events, log, moves, openapi, others, quic, settings};
use super::{transcoders, webhooks};
use crate::egress::record::{RecordingBody, RecordingView};
use crate::http::whip::not_allowed;
use crate::ops::flags::Flag;
use crate::ops::webhooks::ReceiverStatus;

/// What the paths of the table stand under.
pub(in crate::http) const ROOT: &str = "/admin/v1";

type Schema = fn(&mut SchemaGenerator) -> Value;

/// One method of one path.
pub(in crate::http) struct Entry {
    pub(in crate::http) method: &'static str,
    pub(in crate::http) path: &'static str,
    /// The least role; `None`: no token is asked for.
    pub(in crate::http) role: Option<AdminRole>,
    pub(in crate::http) summary: &'static str,
    pub(in crate::http) status: u16,
    /// Whether it lists, and takes `limit` and `cursor`.
    pub(in crate::http) paged: bool,
    pub(in crate::http) body: Option<Schema>,
    pub(in crate::http) answer: Option<Schema>,
    attach: fn(Resource) -> Resource,
}

fn schema<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn object(_: &mut SchemaGenerator) -> Value {
    serde_json::json!({ "type": "object" })
}

fn page(_: &mut SchemaGenerator) -> Value {
    let items = serde_json::json!({ "type": "array", "items": { "type": "object" } });
    serde_json::json!({
        "type": "object",
        "properties": { "items": items, "cursor": { "type": "string" } },
        "required": ["items"],
    })
}

fn text(_: &mut SchemaGenerator) -> Value {
    serde_json::json!({ "type": "string" })
}

const VIEWER: Option<AdminRole> = Some(AdminRole::Viewer);
const OPERATOR: Option<AdminRole> = Some(AdminRole::Operator);
const ADMIN: Option<AdminRole> = Some(AdminRole::Admin);

impl Entry {
    const fn new(
        method: &'static str,
        path: &'static str,
        role: Option<AdminRole>,
        attach: fn(Resource) -> Resource,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            role,
            summary,
            status: 200,
            paged: false,
            body: None,
            answer: None,
            attach,
        }
    }

    const fn gives(mut self, status: u16, answer: Schema) -> Self {
        self.status = status;
        self.answer = Some(answer);
        self
    }

    const fn nothing(mut self) -> Self {
        self.status = 204;
        self
    }

    const fn lists(mut self, answer: Schema) -> Self {
        self.paged = true;
        self.answer = Some(answer);
        self
    }

    const fn takes(mut self, body: Schema) -> Self {
        self.body = Some(body);
        self
    }
}

macro_rules! entry {
    ($method:ident $path:literal $role:ident $handler:path, $summary:literal) => {
        Entry::new(
            stringify!($method),
            $path,
            $role,
            |resource| resource.route(web::$method().to($handler)),
            $summary,
        )
    };
}

/// All routes. Those of one path stand together.
pub(in crate::http) const TABLE: &[Entry] = &[
    entry!(get "/openapi.json" NOBODY openapi::serve, "This description").gives(200, object),
    entry!(get "/rooms" VIEWER super::rooms, "All rooms").lists(schema::<Page<RoomStatus>>),
    entry!(get "/rooms/{room}" VIEWER super::room, "One room").gives(200, schema::<RoomStatus>),
    entry!(put "/rooms/{room}" OPERATOR super::put_room, "Opens it or replaces its settings")
        .takes(schema::<RoomSettings>)
        .gives(201, schema::<RoomStatus>),
    entry!(patch "/rooms/{room}" OPERATOR super::patch_room, "Changes what the body names")
        .takes(schema::<RoomPatch>)
        .gives(200, schema::<RoomStatus>),
    entry!(delete "/rooms/{room}" OPERATOR super::delete_room, "Closes it").nothing(),
    entry!(get "/rooms/{room}/peers" VIEWER super::peers, "Its peers")
        .lists(schema::<Page<PeerStatus>>),
    entry!(patch "/rooms/{room}/peers/{peer}" OPERATOR act::change,
        "Changes its name, metadata or grants")
    .takes(schema::<act::PeerBody>)
    .nothing(),
    entry!(delete "/rooms/{room}/peers/{peer}" OPERATOR super::kick, "Removes a peer").nothing(),
    entry!(post "/rooms/{room}/peers/{peer}/mute" OPERATOR act::mute, "Mutes its tracks")
        .takes(schema::<act::MuteBody>)
        .nothing(),
    entry!(post "/rooms/{room}/send" OPERATOR act::send, "Sends a message into it")
        .takes(schema::<act::SendBody>)
        .gives(200, object),
    entry!(post "/rooms/{room}/faults" ADMIN super::fault, "Fails a part, for tests")
        .takes(object)
        .nothing(),
    entry!(post "/rooms/{room}/migrate" OPERATOR moves::migrate, "Moves it to another worker")
        .takes(schema::<moves::MigrateBody>)
        .gives(202, object),
    entry!(post "/rooms/{room}/shard" OPERATOR moves::shard, "Moves it within its worker")
        .takes(schema::<moves::ShardBody>)
        .gives(202, object),
    entry!(get "/migrations" VIEWER moves::migrations, "Rooms that move").lists(page),
    entry!(post "/workers/{worker}/drain" OPERATOR moves::drain, "Empties a worker")
        .gives(202, object),
    entry!(get "/workers/{worker}/metrics" VIEWER others::figures, "Its metrics").gives(200, text),
    entry!(post "/tokens/revoke" ADMIN act::revoke, "Has tokens believed no more")
        .takes(schema::<act::RevokeBody>)
        .gives(200, object),
    entry!(get "/transcoders" VIEWER transcoders::list, "All transcoding jobs").lists(page),
    entry!(patch "/transcoders/{id}" OPERATOR transcoders::change, "Changes one of this worker")
        .takes(schema::<transcoders::JobBody>)
        .nothing(),
    entry!(get "/quic" VIEWER quic::connections, "All connections by QUIC").lists(page),
    entry!(get "/egress" VIEWER egress::list, "Streams that are packaged")
        .lists(schema::<Page<egress::EgressStatus>>),
    entry!(get "/egress/{room}/{stream}" VIEWER egress::show, "One of them")
        .gives(200, schema::<egress::EgressStatus>),
    entry!(delete "/egress/{room}/{stream}" OPERATOR egress::close, "Stops packaging it").nothing(),
    entry!(get "/recordings" VIEWER egress::recordings, "All recordings")
        .lists(schema::<Page<RecordingView>>),
    entry!(post "/recordings" OPERATOR egress::record, "Begins one")
        .takes(schema::<RecordingBody>)
        .gives(201, schema::<RecordingView>),
    entry!(get "/recordings/{id}" VIEWER egress::recording, "One recording")
        .gives(200, schema::<RecordingView>),
    entry!(delete "/recordings/{id}" ADMIN egress::delete, "Deletes it").nothing(),
    entry!(post "/recordings/{id}/stop" OPERATOR egress::stop, "Ends it")
        .gives(200, schema::<RecordingView>),
    entry!(get "/ingests" VIEWER cluster::ingests, "All live sources").lists(page),
    entry!(delete "/ingests/{id}" OPERATOR cluster::close_ingest, "Sends one away").nothing(),
    entry!(get "/workers" VIEWER cluster::workers, "All workers").lists(page),
    entry!(get "/topology" VIEWER cluster::topology, "Workers and the rooms that they own")
        .gives(200, object),
    entry!(get "/flags" VIEWER settings::flags, "All flags").lists(page),
    entry!(get "/flags/{name}" VIEWER settings::flag, "One flag").gives(200, schema::<Flag>),
    entry!(put "/flags/{name}" OPERATOR settings::put_flag, "Writes it, for all workers")
        .takes(schema::<Flag>)
        .gives(200, schema::<Flag>),
    entry!(delete "/flags/{name}" OPERATOR settings::delete_flag, "Deletes it").nothing(),
    entry!(get "/config" ADMIN settings::config, "What is in force").gives(200, object),
    entry!(patch "/config" ADMIN settings::patch_config, "Changes sections, on all workers")
        .takes(object)
        .gives(200, object),
    entry!(get "/audit" ADMIN log::audit, "What operators did, on all workers").lists(page),
    entry!(get "/events" VIEWER events::events, "What happened; a stream if one asks for it")
        .lists(page),
    entry!(get "/webhooks" VIEWER webhooks::receivers, "Who is posted it, and what waits")
        .lists(schema::<Page<ReceiverStatus>>),
];

const NOBODY: Option<AdminRole> = None;

/// Puts all of them on the listener.
pub(in crate::http) fn configure(app: &mut web::ServiceConfig) {
    let mut rest = TABLE;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|it| it.path == first.path).count();
        let (these, others) = rest.split_at(same);
        let resource = web::resource(format!("{ROOT}{}", first.path));
        let resource = these
            .iter()
            .fold(resource, |resource, it| (it.attach)(resource));
        app.service(resource.default_service(web::to(not_allowed)));
        rest = others;
    }
}
