//! A member that comes by WHIP (RFC 9725) or WHEP.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ureq::http::StatusCode;

use super::tally::MemberRecord;
use super::{Context, Place, Role, leaves_at, until_over};
use crate::light::ClientId;

/// How long a server may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// How much of a refusal is quoted.
const QUOTED: usize = 120;

pub(super) async fn live(context: &Context, place: Place, generation: u32) -> MemberRecord {
    let began = context.clock.micros(context.clock.now());
    let mut record = MemberRecord::new(place.role, place.room, began);
    context.tally.began();
    let mut client = None;
    let came = come(context, place, generation, &mut record, &mut client).await;
    context.tally.settle();
    let left = match came {
        Ok(session) => {
            let leaves = leaves_at(context, place);
            until_over(&mut context.phase.clone(), leaves).await;
            session.delete().await
        }
        Err(error) => Err(error),
    };
    if let Some(client) = client {
        record.media = context.engine.close(client).await.ok();
    }
    record.error = left.err().map(|error| format!("{error:#}"));
    record
}

/// A session's URL, and what to show there.
struct Session {
    url: String,
    token: Option<String>,
}

async fn come(
    context: &Context,
    place: Place,
    generation: u32,
    record: &mut MemberRecord,
    client: &mut Option<ClientId>,
) -> Result<Session> {
    let clock = context.clock;
    let room = context.room(place.room);
    let (kind, given) = match place.role {
        Role::Publisher => ("whip", &context.target.whip),
        Role::Subscriber => ("whep", &context.target.whep),
    };
    let base = context.target.url.trim_end_matches('/');
    let below = format!("{base}/{kind}/{{room}}");
    let url = given.as_ref().unwrap_or(&below).replace("{room}", &room);
    let identity = format!("{kind}{}-{generation}", place.number);
    let now = clock.unix(clock.now()).as_secs();
    let token = context.target.tokens.issue(&room, &identity, now)?;
    let plan = context.plan(place.role);
    record.watches_video = plan.video_slots > 0;
    let (id, offer) = context.engine.open(plan.clone()).await?;
    *client = Some(id);
    let (location, answer) = post(url, offer, token.clone()).await?;
    let answered = clock.micros(clock.now());
    record.joined = Some(answered);
    record.answered = Some(answered);
    context.tally.joined();
    context.engine.answer(id, answer).await?;
    Ok(Session {
        url: location,
        token,
    })
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_TIME_MAX))
        .http_status_as_error(false);
    config.build().new_agent()
}

/// Posts an offer: the session's URL, and the answer.
async fn post(url: String, offer: String, token: Option<String>) -> Result<(String, String)> {
    let asked = tokio::task::spawn_blocking(move || -> Result<(String, String)> {
        let mut request = agent().post(&url).header("content-type", "application/sdp");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.send(offer).context("POST")?;
        let status = response.status();
        let location = response.headers().get("location").cloned();
        let body = response
            .body_mut()
            .read_to_string()
            .context("the answer's body")?;
        if status != StatusCode::CREATED {
            let said: String = body.chars().take(QUOTED).collect();
            bail!("POST was answered {status}: {said}");
        }
        let location = location.context("an answer without Location")?;
        Ok((absolute(&url, location.to_str()?), body))
    });
    asked.await?
}

/// A location may be a path alone.
fn absolute(url: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split('/').next().unwrap_or_default();
    if location.starts_with('/') {
        return format!("{scheme}://{authority}{location}");
    }
    let folder = url.rsplit_once('/').map_or(url, |(folder, _)| folder);
    format!("{folder}/{location}")
}

impl Session {
    async fn delete(self) -> Result<()> {
        let asked = tokio::task::spawn_blocking(move || -> Result<()> {
            let mut request = agent().delete(&self.url);
            if let Some(token) = self.token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let status = request.call().context("DELETE")?.status();
            if !status.is_success() {
                bail!("DELETE was answered {status}");
            }
            Ok(())
        });
        asked.await?
    }
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn locations_are_made_whole() {
        let url = "http://a.example:8080/whip/room";
        assert_eq!(
            absolute(url, "/whip/room/7"),
            "http://a.example:8080/whip/room/7"
        );
        assert_eq!(absolute(url, "https://b.example/x"), "https://b.example/x");
        assert_eq!(absolute(url, "7"), "http://a.example:8080/whip/7");
    }
}
