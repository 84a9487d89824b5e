use std::sync::atomic::Ordering;

use actix_web::body::to_bytes;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, LOCATION};
use actix_web::middleware::from_fn;
use actix_web::{App, test};
use media_types::TrackId;
use serde_json::Value;
use signaling::limits::SDP_BYTES_MAX;
use signaling::view::CloseReason;
use signaling::{ClientMessage, Grant, Grants, RpcError};

use super::fake::{ANSWER, World, world};
use crate::http::{Via, cors, routes};

const OFFER: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:clie\r\n\
    a=ice-pwd:clientclientclient1234\r\n";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

struct Sent<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

async fn send(world: &World, sent: Sent<'_>) -> ServiceResponse {
    let app = App::new()
        .app_data(world.state.clone())
        .configure(routes::clients)
        .wrap(from_fn(cors::cross_origin));
    let app = test::init_service(app).await;
    let method = Method::from_bytes(sent.method.as_bytes()).unwrap();
    let mut request = test::TestRequest::with_uri(sent.path).method(method);
    for (name, value) in sent.headers {
        request = request.insert_header((name, value));
    }
    let body = sent.body.to_owned();
    let request = request.set_payload(body).to_request();
    test::call_service(&app, request)
        .await
        .map_into_boxed_body()
}

fn header(response: &ServiceResponse, name: &'static str) -> String {
    let value = response.headers().get(HeaderName::from_static(name));
    value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

async fn body(response: ServiceResponse) -> String {
    let bytes = to_bytes(response.into_body()).await.ok().unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn post(world: &World, path: &str, token: &str) -> ServiceResponse {
    let bearer = format!("Bearer {token}");
    let headers = vec![
        ("authorization", bearer.as_str()),
        ("content-type", "application/sdp"),
        ("origin", "https://page.example"),
    ];
    let sent = Sent {
        method: "POST",
        path,
        headers,
        body: OFFER,
    };
    send(world, sent).await
}

/// Publishes; the session's URL and its entity tag.
async fn published(world: &World) -> (String, String) {
    let response = post(world, "/whip/r", &world.member("r")).await;
    assert_eq!(response.status(), 201);
    (header(&response, "location"), header(&response, "etag"))
}

async fn patch(world: &World, path: &str, etag: Option<&str>, fragment: &str) -> ServiceResponse {
    let mut headers = vec![("content-type", FRAGMENT)];
    headers.extend(etag.map(|etag| ("if-match", etag)));
    let sent = Sent {
        method: "PATCH",
        path,
        headers,
        body: fragment,
    };
    send(world, sent).await
}

#[actix_web::test]
async fn a_publisher_gets_its_answer_and_its_url() {
    let world = world(|config| {
        config.webrtc.ice_servers = vec![crate::config::IceServerConfig {
            urls: vec!["stun:s.example".to_owned()],
            shared_secret: None,
            credential_ttl: std::time::Duration::ZERO,
        }];
    });
    let response = post(&world, "/whip/r", &world.member("r")).await;
    assert_eq!(response.status(), 201);
    let location = header(&response, "location");
    assert!(
        location.starts_with("/whip/r/") && location.len() == 40,
        "{location}"
    );
    assert_eq!(header(&response, "content-type"), "application/sdp");
    assert_eq!(
        header(&response, "link"),
        "<stun:s.example>; rel=\"ice-server\""
    );
    assert_eq!(header(&response, "access-control-allow-origin"), "*");
    assert!(header(&response, "access-control-expose-headers").contains("Location"));
    assert!(header(&response, "etag").starts_with('"'));
    assert_eq!(body(response).await, ANSWER);
    let asked = world.rooms.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.via, asked.once), (Via::Whip, false));
    assert_eq!(asked.identity.as_str(), "ana");
    assert_eq!(world.state.whip.len(), 1);
}

#[actix_web::test]
async fn a_viewer_may_name_whom_it_watches() {
    let world = world(|_| {});
    let track = TrackId::new(3);
    let path = format!("/whep/r?peer=bo&track={track}");
    let response = post(&world, &path, &world.member("r")).await;
    assert_eq!(response.status(), 201);
    let location = header(&response, "location");
    assert!(location.starts_with("/whep/r/"), "{location}");
    let asked = world.rooms.asked.lock().unwrap()[0].clone();
    let peer = Some("bo".parse().unwrap());
    let track = Some(track);
    assert_eq!(asked.via, Via::Whep { peer, track });
    let response = post(&world, "/whep/r?peer=b/o", &world.member("r")).await;
    assert_eq!(response.status(), 400);
}

#[actix_web::test]
async fn candidates_trickle_under_the_right_tag() {
    let world = world(|_| {});
    let (url, etag) = published(&world).await;
    let fragment = "m=audio 9 X 0\r\na=mid:0\r\na=candidate:7 1 udp 1 192.0.2.1 5 typ host\r\n";
    let with = |tag: Option<&'static str>| patch(&world, &url, tag, fragment);
    assert_eq!(with(None).await.status(), 428);
    assert_eq!(with(Some("\"other\"")).await.status(), 412);
    let taken = patch(&world, &url, Some(&etag), fragment).await;
    assert_eq!(taken.status(), 204);
    let told = world.rooms.session().told.lock().unwrap().clone();
    let [ClientMessage::Candidate(candidate)] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(
        candidate.candidate,
        "candidate:7 1 udp 1 192.0.2.1 5 typ host"
    );
    assert_eq!(candidate.sdp_mid.unwrap().as_str(), "0");
    assert_eq!(
        patch(&world, &url, Some(&etag), "what?").await.status(),
        400
    );
}

#[actix_web::test]
async fn ice_restarts_by_patch() {
    let world = world(|_| {});
    let (url, etag) = published(&world).await;
    let fragment = "a=ice-ufrag:newu\r\na=ice-pwd:newnewnewnewnewnewnew2\r\n";
    let response = patch(&world, &url, Some("*"), fragment).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), FRAGMENT);
    let renewed = header(&response, "etag");
    assert_ne!(renewed, etag);
    let answer = body(response).await;
    assert!(answer.contains("a=ice-ufrag:serv\r\n"), "{answer}");
    assert!(
        answer.contains("a=candidate:1 1 udp 1 192.0.2.9 7800"),
        "{answer}"
    );
    let offers = world.rooms.session().offers.lock().unwrap().clone();
    assert_eq!(offers.len(), 2);
    assert!(offers[1].contains("a=ice-ufrag:newu"), "{}", offers[1]);
    assert_eq!(
        patch(&world, &url, Some(&etag), fragment).await.status(),
        412
    );
    assert_eq!(
        patch(&world, &url, Some(&renewed), fragment).await.status(),
        204
    );
}

#[actix_web::test]
async fn a_session_ends_by_delete_or_by_the_room() {
    let world = world(|_| {});
    let (url, _) = published(&world).await;
    let delete = |path: String| {
        let world = &world;
        async move {
            let sent = Sent {
                method: "DELETE",
                path: &path,
                headers: vec![],
                body: "",
            };
            send(world, sent).await.status()
        }
    };
    assert_eq!(delete(url.clone()).await, 200);
    assert!(world.rooms.session().left.load(Ordering::SeqCst));
    assert_eq!(delete(url).await, 404);
    let (url, _) = published(&world).await;
    world.rooms.session().outbox.close(CloseReason::RoomClosed);
    assert!(world.state.whip.is_empty());
    assert_eq!(delete(url).await, 404);
}

#[actix_web::test]
async fn what_is_wrong_has_its_status() {
    let world = world(|_| {});
    let status =
        |method: &'static str, headers: Vec<(&'static str, String)>, body: &'static str| {
            let world = &world;
            async move {
                let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
                let sent = Sent {
                    method,
                    path: "/whip/r",
                    headers: headers.collect(),
                    body,
                };
                send(world, sent).await.status().as_u16()
            }
        };
    let token = |grants: Grants| ("authorization", format!("Bearer {}", world.token(grants)));
    let room = |room: &str| Grants::for_room(room.parse().unwrap());
    let good = || token(room("r").with(Grant::Publish));
    let sdp = || ("content-type", "application/sdp".to_owned());
    assert_eq!(status("POST", vec![sdp()], OFFER).await, 401);
    let bad = ("authorization", "Bearer a.b.c".to_owned());
    assert_eq!(status("POST", vec![sdp(), bad], OFFER).await, 401);
    assert_eq!(
        status("POST", vec![sdp(), token(room("r"))], OFFER).await,
        403
    );
    let other = token(room("s").with(Grant::Publish));
    assert_eq!(status("POST", vec![sdp(), other], OFFER).await, 403);
    assert_eq!(status("POST", vec![good()], OFFER).await, 415);
    assert_eq!(status("POST", vec![good(), sdp()], "").await, 400);
    assert_eq!(status("POST", vec![good(), sdp()], "hello").await, 400);
    assert!(world.rooms.session().left.load(Ordering::SeqCst));
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        assert_eq!(status(method, vec![good()], "").await, 405, "{method}");
    }
    let long = "x".repeat(SDP_BYTES_MAX + 1);
    let long: &'static str = Box::leak(long.into_boxed_str());
    assert_eq!(status("POST", vec![good(), sdp()], long).await, 413);
    let ingest = token(room("r").with(Grant::Ingest));
    assert_eq!(status("POST", vec![sdp(), ingest], OFFER).await, 201);
}

#[actix_web::test]
async fn failures_are_problems() {
    let world = world(|_| {});
    let response = post(&world, "/whip/r", "a.b.c").await;
    assert_eq!(
        header(&response, "content-type"),
        "application/problem+json"
    );
    assert_eq!(
        header(&response, "www-authenticate"),
        "Bearer realm=\"troupe\""
    );
    let problem: Value = serde_json::from_str(&body(response).await).unwrap();
    assert_eq!(problem["type"], "urn:troupe:error:unauthorized");
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["detail"], Value::Null);
}

#[actix_web::test]
async fn a_room_elsewhere_is_where_the_url_says() {
    let world = world(|_| {});
    let moved = RpcError::moved("wss://b.example/v1/signal");
    *world.rooms.refusal.lock().unwrap() = Some(moved);
    let path = "/whep/r?peer=bo";
    let response = post(&world, path, &world.member("r")).await;
    assert_eq!(response.status(), 307);
    let location = response.headers().get(LOCATION).unwrap().to_str().unwrap();
    assert_eq!(location, "https://b.example/whep/r?peer=bo");
}

#[actix_web::test]
async fn options_tell_what_is_taken() {
    let world = world(|config| config.http.cors_origins = vec!["https://ok.example".to_owned()]);
    let options = |path: &'static str, headers: Vec<(&'static str, &'static str)>| {
        let sent = Sent {
            method: "OPTIONS",
            path,
            headers,
            body: "",
        };
        send(&world, sent)
    };
    let endpoint = options("/whip/r", vec![]).await;
    assert_eq!(endpoint.status(), 204);
    assert_eq!(header(&endpoint, "accept-post"), "application/sdp");
    let session = options("/whep/r/abc", vec![]).await;
    assert_eq!(header(&session, "accept-patch"), FRAGMENT);
    let preflight = |origin| {
        let method = ("access-control-request-method", "POST");
        options("/whip/r", vec![("origin", origin), method])
    };
    let allowed = preflight("https://ok.example").await;
    assert_eq!(
        header(&allowed, "access-control-allow-origin"),
        "https://ok.example"
    );
    assert!(header(&allowed, "access-control-allow-headers").contains("Authorization"));
    assert!(header(&allowed, "access-control-allow-methods").contains("PATCH"));
    let refused = preflight("https://evil.example").await;
    assert_eq!(header(&refused, "access-control-allow-origin"), "");
}

#[actix_web::test]
async fn plain_http_is_refused_where_tls_is_required() {
    let world = world(|config| {
        config.http.require_tls = true;
        config.http.trust_proxy = true;
    });
    let token = world.member("r");
    let refused = post(&world, "/whip/r", &token).await;
    assert_eq!(refused.status(), 426);
    assert_eq!(header(&refused, "upgrade"), "TLS/1.2, HTTP/1.1");
    let bearer = format!("Bearer {token}");
    let headers = vec![
        ("authorization", bearer.as_str()),
        ("content-type", "application/sdp"),
        ("x-forwarded-proto", "https"),
    ];
    let sent = Sent {
        method: "POST",
        path: "/whip/r",
        headers,
        body: OFFER,
    };
    assert_eq!(send(&world, sent).await.status(), 201);
}
