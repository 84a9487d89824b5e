use actix_web::{App, test};
use actors::Fault;
use media_types::PeerId;
use serde_json::{Value, json};
use signaling::{AdminRole, ErrorType, Grants};

use super::fake::{World, world};
use crate::auth::Access;
use crate::http::routes;

async fn call(
    world: &World,
    role: Option<AdminRole>,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let app = App::new()
        .app_data(world.state.clone())
        .configure(routes::operators);
    let app = test::init_service(app).await;
    let mut request = test::TestRequest::with_uri(path).method(method.parse().unwrap());
    if let Some(role) = role {
        let grants = Grants {
            admin: Some(role),
            ..Grants::default()
        };
        let bearer = format!("Bearer {}", world.token(grants));
        request = request.insert_header(("authorization", bearer));
    }
    if let Some(body) = body {
        request = request.set_json(body);
    }
    let response = test::call_service(&app, request.to_request()).await;
    let status = response.status().as_u16();
    let bytes = test::read_body(response).await;
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, body)
}

const OPERATOR: Option<AdminRole> = Some(AdminRole::Operator);
const VIEWER: Option<AdminRole> = Some(AdminRole::Viewer);

#[actix_web::test]
async fn a_room_is_made_changed_and_closed() {
    let world = world(|_| {});
    let path = "/admin/v1/rooms/lobby";
    let settings = json!({"maxPeers": 3, "codecs": ["vp8"]});
    let (status, room) = call(&world, OPERATOR, "PUT", path, Some(settings.clone())).await;
    assert_eq!((status, &room["settings"]["maxPeers"]), (201, &json!(3)));
    assert_eq!(
        call(&world, OPERATOR, "PUT", path, Some(settings)).await.0,
        200
    );
    let patch = json!({"maxPeers": 5});
    let (status, room) = call(&world, OPERATOR, "PATCH", path, Some(patch)).await;
    assert_eq!((status, &room["settings"]["maxPeers"]), (200, &json!(5)));
    assert_eq!(room["settings"]["codecs"], json!(["vp8"]));
    let (status, room) = call(&world, VIEWER, "GET", path, None).await;
    assert_eq!((status, &room["name"]), (200, &json!("lobby")));
    assert_eq!(call(&world, OPERATOR, "DELETE", path, None).await.0, 204);
    assert_eq!(call(&world, VIEWER, "GET", path, None).await.0, 404);
}

#[actix_web::test]
async fn lists_come_in_pages() {
    let world = world(|_| {});
    for name in ["a", "b", "c"] {
        let path = format!("/admin/v1/rooms/{name}");
        call(&world, OPERATOR, "PUT", &path, Some(json!({}))).await;
    }
    let (_, page) = call(&world, VIEWER, "GET", "/admin/v1/rooms?limit=2", None).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert_eq!(page["cursor"], "b");
    let (_, page) = call(
        &world,
        VIEWER,
        "GET",
        "/admin/v1/rooms?limit=2&cursor=b",
        None,
    )
    .await;
    assert_eq!(page["items"][0]["name"], "c");
    assert_eq!(page["cursor"], Value::Null);
    let (status, page) = call(&world, VIEWER, "GET", "/admin/v1/rooms/a/peers", None).await;
    assert_eq!((status, &page["items"][0]["peerId"]), (200, &json!("ana")));
}

#[actix_web::test]
async fn roles_are_checked() {
    let world = world(|_| {});
    let path = "/admin/v1/rooms/r";
    assert_eq!(call(&world, None, "GET", path, None).await.0, 401);
    let (status, problem) = call(&world, VIEWER, "PUT", path, Some(json!({}))).await;
    assert_eq!(status, 403);
    assert_eq!(problem["type"], "urn:troupe:error:forbidden");
    let admin = Some(AdminRole::Admin);
    assert_eq!(
        call(&world, admin, "PUT", path, Some(json!({}))).await.0,
        201
    );
    let kick = |peer: &str| format!("{path}/peers/{peer}");
    assert_eq!(
        call(&world, VIEWER, "DELETE", &kick("ana"), None).await.0,
        403
    );
    assert_eq!(
        call(&world, OPERATOR, "DELETE", &kick("ana"), None).await.0,
        204
    );
    assert_eq!(
        call(&world, OPERATOR, "DELETE", &kick("bo"), None).await.0,
        404
    );
}

#[actix_web::test]
async fn wrong_bodies_are_problems() {
    let world = world(|_| {});
    let path = "/admin/v1/rooms/r";
    let body = Some(json!({"maxPears": 1}));
    let (status, problem) = call(&world, OPERATOR, "PUT", path, body).await;
    assert_eq!(status, 400);
    assert!(
        problem["detail"].as_str().unwrap().contains("maxPears"),
        "{problem}"
    );
    assert_eq!(call(&world, OPERATOR, "PUT", path, None).await.0, 415);
    assert_eq!(
        call(&world, VIEWER, "GET", "/admin/v1/rooms/a%20b", None)
            .await
            .0,
        400
    );
    assert_eq!(call(&world, OPERATOR, "POST", path, None).await.0, 405);
    assert_eq!(
        call(&world, VIEWER, "GET", "/admin/v1/nothing", None)
            .await
            .0,
        404
    );
}

#[actix_web::test]
async fn health_and_figures_need_no_token() {
    let world = world(|_| {});
    let ready = || call(&world, None, "GET", "/readyz", None);
    assert_eq!(
        call(&world, None, "GET", "/healthz", None).await,
        (200, json!("ok\n"))
    );
    assert_eq!(ready().await, (200, json!("ready\n")));
    world.state.health.set_ready(false);
    assert_eq!(ready().await, (503, json!("starting\n")));
    world.state.health.set_draining();
    assert_eq!(ready().await, (503, json!("draining\n")));
    crate::telemetry::http_request("/whip/{room}", 201, std::time::Duration::from_millis(3));
    let (status, text) = call(&world, None, "GET", "/metrics", None).await;
    assert_eq!(status, 200);
    let text = text.as_str().unwrap();
    let line = "troupe_http_requests_total{route=\"/whip/{room}\",class=\"2xx\"}";
    assert!(text.contains(line), "{text}");
    assert!(
        text.contains("troupe_http_request_seconds_bucket{"),
        "{text}"
    );
}

#[actix_web::test]
async fn faults_are_injected_where_that_is_allowed() {
    let path = "/admin/v1/rooms/r/faults";
    let admin = Some(AdminRole::Admin);
    let body = || Some(json!({"kind": "transport", "peer": "ana"}));
    let safe = world(|_| {});
    assert_eq!(call(&safe, admin, "POST", path, body()).await.0, 404);
    let world = world(|config| config.debug.faults = true);
    assert_eq!(call(&world, OPERATOR, "POST", path, body()).await.0, 403);
    assert_eq!(call(&world, admin, "POST", path, body()).await.0, 204);
    let room = Some(json!({"kind": "room"}));
    assert_eq!(call(&world, admin, "POST", path, room).await.0, 204);
    let unknown = Some(json!({"kind": "worker"}));
    assert_eq!(call(&world, admin, "POST", path, unknown).await.0, 400);
    let faults = world.rooms.faults.lock().unwrap().clone();
    assert_eq!(
        faults,
        [Fault::Transport("ana".parse().unwrap()), Fault::Room]
    );
}

#[actix_web::test]
async fn operators_write_mute_and_change() {
    let world = world(|_| {});
    let at = |rest: &str| format!("/admin/v1/rooms/lobby/{rest}");
    let message = json!({"topic": "t", "payload": 1});
    let (status, sent) = call(&world, OPERATOR, "POST", &at("send"), Some(message)).await;
    assert_eq!((status, sent), (200, json!({"delivered": 3})));
    let elsewhere = json!({"to": "room:s", "topic": "t", "payload": 1});
    let refused = call(&world, OPERATOR, "POST", &at("send"), Some(elsewhere)).await;
    assert_eq!(refused.0, 400);
    let long = json!({"topic": "t".repeat(65), "payload": 1});
    let refused = call(&world, OPERATOR, "POST", &at("send"), Some(long)).await;
    assert_eq!(refused.0, 413);
    let mute = json!({"muted": true});
    let path = at("peers/bob/mute");
    assert_eq!(
        call(&world, OPERATOR, "POST", &path, Some(mute.clone()))
            .await
            .0,
        204
    );
    assert_eq!(call(&world, VIEWER, "POST", &path, Some(mute)).await.0, 403);
    let change = json!({"name": "Bob", "metadata": {"hand": true}});
    let path = at("peers/bob");
    assert_eq!(
        call(&world, OPERATOR, "PATCH", &path, Some(change)).await.0,
        204
    );
    let long = json!({"name": "x".repeat(129)});
    assert_eq!(
        call(&world, OPERATOR, "PATCH", &path, Some(long)).await.0,
        413
    );
    let unknown = json!({"grants": {"fly": true}});
    assert_eq!(
        call(&world, OPERATOR, "PATCH", &path, Some(unknown))
            .await
            .0,
        400
    );
    let acts = world.rooms.acts.lock().unwrap().clone();
    let expected = [
        "ana to room: t",
        "mute bob None true",
        r#"change bob Some("Bob") Some(Object {"hand": Bool(true)})"#,
    ];
    assert_eq!(acts, expected);
}

#[actix_web::test]
async fn a_revoked_token_is_believed_no_more() {
    let world = world(|_| {});
    let path = "/admin/v1/tokens/revoke";
    let admin = Some(AdminRole::Admin);
    let judge = |token: &str| {
        let now = world.state.unix();
        world.state.auth.judge(token, Access::Join, now)
    };
    let token = world.member("lobby");
    let claims = judge(&token).unwrap();
    let jti = json!({"jti": claims.jti});
    assert_eq!(
        call(&world, OPERATOR, "POST", path, Some(jti.clone()))
            .await
            .0,
        403
    );
    let (status, done) = call(&world, admin, "POST", path, Some(jti)).await;
    assert_eq!((status, done), (200, json!({"ended": 0})));
    assert_eq!(judge(&token), Err(ErrorType::Unauthorized));
    let other = world.member("lobby");
    assert!(judge(&other).is_ok());
    for wrong in [
        json!({}),
        json!({"sub": "a", "kid": "k"}),
        json!({"who": 1}),
    ] {
        assert_eq!(call(&world, admin, "POST", path, Some(wrong)).await.0, 400);
    }
    // The admin's own token is of the same identity, and goes with it.
    let sub = json!({"sub": "ana", "end": true});
    let (status, done) = call(&world, admin, "POST", path, Some(sub)).await;
    assert_eq!((status, done), (200, json!({"ended": 2})));
    assert_eq!(judge(&other), Err(ErrorType::Unauthorized));
    let now = world.state.unix();
    let auth = &world.state.auth;
    let (room, grants) = ("lobby".parse().unwrap(), claims.troupe);
    let resume = auth
        .resume
        .sign(claims.sub, room, PeerId::new(1), grants, now);
    assert_eq!(
        auth.judge_resume(resume.expose(), now),
        Err(ErrorType::Unauthorized)
    );
    // Until nothing of it can be good any more.
    let later = now + world.state.config.auth.ingest_max_ttl;
    assert!(auth.revoked.meet_peer(&"ana".parse().unwrap(), now));
    assert!(!auth.revoked.meet_peer(&"ana".parse().unwrap(), later));
    let acts = world.rooms.acts.lock().unwrap().clone();
    assert_eq!(acts, [r#"revoke Identity("ana")"#]);
}

#[actix_web::test]
async fn transcoding_jobs_are_listed_with_what_became_of_them() {
    let world = world(|_| {});
    let (status, page) = call(&world, VIEWER, "GET", "/admin/v1/transcoders", None).await;
    let job = json!({
        "id": 7, "room": "lobby", "stream": "ana", "job": "aac-opus", "state": "given_up",
        "failures": 4, "failure": "it has ended", "taken": 90, "made": 80, "dropped": 10,
        "worker": "wk",
    });
    assert_eq!((status, &page["items"]), (200, &json!([job])));
    assert_eq!(
        call(&world, None, "GET", "/admin/v1/transcoders", None)
            .await
            .0,
        401
    );
    // One that was given up takes no bitrate, and one that is not there is not found.
    for (path, token, expected) in [
        ("7", OPERATOR, 400),
        ("8", OPERATOR, 404),
        ("7", VIEWER, 403),
    ] {
        let path = format!("/admin/v1/transcoders/{path}");
        let body = Some(json!({ "bitrateKbps": 300 }));
        let (status, _) = call(&world, token, "PATCH", &path, body).await;
        assert_eq!(status, expected, "{path}");
    }
}

#[actix_web::test]
async fn the_console_is_served_beside_the_api_and_hides_nothing_of_it() {
    let world = world(|_| {});
    let (status, page) = call(&world, None, "GET", "/", None).await;
    let page = page.as_str().unwrap_or_default().to_lowercase();
    assert!(status == 200 && page.contains("<!doctype html>"), "{page}");
    for path in ["/admin/v1/nothing", "/assets/nothing.js", "/nothing"] {
        let (status, problem) = call(&world, None, "GET", path, None).await;
        assert_eq!((status, &problem["status"]), (404, &json!(404)), "{path}");
    }
    assert_eq!(call(&world, None, "POST", "/", None).await.0, 404);
}

#[actix_web::test]
async fn the_figures_of_a_worker_are_for_viewers() {
    let world = world(|_| {});
    let path = "/admin/v1/workers/wk/metrics";
    let (status, text) = call(&world, VIEWER, "GET", path, None).await;
    let text = text.as_str().unwrap_or_default();
    assert!(
        status == 200 && text.contains("troupe_process_resident_bytes"),
        "{text}"
    );
    assert_eq!(call(&world, None, "GET", path, None).await.0, 401);
    let other = "/admin/v1/workers/other/metrics";
    assert_eq!(call(&world, VIEWER, "GET", other, None).await.0, 404);
}
