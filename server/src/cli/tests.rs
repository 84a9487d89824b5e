use clap::CommandFactory;

use super::*;
use crate::auth::{Access, Auth};
use crate::config::AuthConfig;

fn token_args(words: &str) -> TokenArgs {
    let line = format!("troupe token {words}");
    match Cli::parse_from(line.split_whitespace()).command {
        Command::Token(args) => args,
        Command::Serve(_) | Command::Admin(_) | Command::Config(_) => {
            panic!("a token was asked for")
        }
    }
}

fn issued(words: &str) -> Result<signaling::Claims, String> {
    let config = load(token_args(words).sources, false).unwrap();
    let token = token(token_args(words)).map_err(|error| error.to_string())?;
    let auth = Auth::new(&AuthConfig { ..config.auth }).unwrap();
    let claims = {
        let access = if words.contains("ingest") {
            Access::Whip
        } else {
            Access::Join
        };
        let verified = auth.verifier.verify(&token, access, SystemClock.unix());
        verified.unwrap()
    };
    Ok(claims)
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_token_says_what_was_asked() {
    let claims = issued("--dev --room lab-* --identity ana --ttl 20m --once").unwrap();
    assert_eq!(claims.sub.as_str(), "ana");
    assert_eq!(claims.iss, "devkey");
    assert_eq!(claims.exp - claims.iat.unwrap(), 20 * 60);
    assert!(claims.jti.is_some());
    let grants = &claims.troupe;
    assert!(grants.covers(&"lab-7".parse().unwrap()));
    assert!(grants.publish && grants.subscribe && grants.data);
    assert!(!grants.ingest && !grants.play && grants.admin.is_none());
}

#[test]
fn grants_are_what_was_named_alone() {
    let words = "--dev --room r --identity i --grant play,subscribe --admin operator";
    let claims = issued(words).unwrap();
    let grants = &claims.troupe;
    assert!(grants.play && grants.subscribe && !grants.publish && !grants.data);
    assert_eq!(grants.admin, Some(AdminRole::Operator));
    assert_eq!(claims.jti, None);
}

#[test]
fn a_lifetime_beyond_the_setting_is_refused() {
    let refused = issued("--dev --room r --identity i --ttl 25h").unwrap_err();
    assert_eq!(refused, "25h is longer than auth.join_max_ttl allows (1d)");
    assert!(issued("--dev --room r --identity i --ttl 29d --grant ingest").is_ok());
}

#[test]
fn a_key_that_cannot_sign_is_named() {
    let refused = issued("--dev --room r --identity i --key other").unwrap_err();
    assert_eq!(refused, "no key of auth.keys can sign: other");
}

#[test]
fn lan_needs_dev() {
    assert!(Cli::try_parse_from(["troupe", "serve", "--lan"]).is_err());
    let cli = Cli::try_parse_from(["troupe", "serve", "--dev", "--lan"]).unwrap();
    assert!(matches!(
        cli.command,
        Command::Serve(ServeArgs { lan: true, .. })
    ));
}
