use actix_web::{App, test};
use serde_json::Value;

use super::fake::{World, world};
use crate::auth::Access;
use crate::config::{DEV_KEY, DEV_SECRET};
use crate::http::routes;

async fn get(world: &World, path: &str) -> (u16, String, String) {
    let app = App::new()
        .app_data(world.state.clone())
        .configure(routes::clients);
    let app = test::init_service(app).await;
    let request = test::TestRequest::with_uri(path).to_request();
    let response = test::call_service(&app, request).await;
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type");
    let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
    let body = test::read_body(response).await;
    (status, kind, String::from_utf8_lossy(&body).into_owned())
}

#[actix_web::test]
async fn the_page_answers_its_own_paths() {
    let world = world(|_| {});
    for path in ["/", "/room/lobby"] {
        let (status, kind, body) = get(&world, path).await;
        assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
        assert!(body.to_lowercase().contains("<!doctype html>"), "{body}");
    }
    let (status, kind, _) = get(&world, "/assets/nothing.js").await;
    assert_eq!((status, kind.as_str()), (404, "application/problem+json"));
    assert_eq!(get(&world, "/v1/other").await.0, 404);
}

#[actix_web::test]
async fn tokens_are_handed_out_in_dev_alone() {
    let path = "/dev/token?room=lobby&identity=ana&name=Ana%20B";
    assert_eq!(get(&world(|_| {}), path).await.0, 404);
    let dev = world(|config| {
        config.dev = true;
        config.auth.keys[0].name = DEV_KEY.to_owned();
        config.auth.keys[0].secret = Some(signaling::Secret::new(DEV_SECRET));
    });
    let (status, _, body) = get(&dev, path).await;
    assert_eq!(status, 200);
    let body: Value = serde_json::from_str(&body).unwrap();
    let token = body["token"].as_str().unwrap();
    let verifier = &dev.state.auth.verifier;
    let claims = verifier
        .verify(token, Access::Join, dev.state.unix())
        .unwrap();
    assert_eq!(claims.sub.as_str(), "ana");
    assert_eq!(claims.troupe.name.as_deref(), Some("Ana B"));
    assert!(claims.jti.is_some() && claims.troupe.publish && claims.troupe.data);
    assert!(claims.troupe.covers(&"lobby".parse().unwrap()));
    assert!(claims.troupe.admin.is_none());
    assert_eq!(get(&dev, "/dev/token?room=lobby").await.0, 400);
    assert_eq!(get(&dev, "/dev/token?room=a/b&identity=x").await.0, 400);
}
