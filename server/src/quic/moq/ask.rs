//! What a session asks for, and what its token allows.

use media_types::RoomName;
use signaling::{Claims, ErrorType};

use crate::auth::{Access, Bearer, authorize};
use crate::ingest::rtmp::RtmpServer;
use crate::ingest::rtmp::key::{StreamKey, token_of};

/// Not judged yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    room: RoomName,
    /// Secret: never logged.
    token: String,
}

/// Why a session does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The path names no room.
    Name,
    /// No token, or a bad one.
    Unauthorized,
    /// A token for something else.
    Forbidden,
}

impl Refused {
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Name => 404,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Name => "bad_name",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
        }
    }
}

impl From<ErrorType> for Refused {
    fn from(error: ErrorType) -> Self {
        if error == ErrorType::Forbidden {
            Self::Forbidden
        } else {
            Self::Unauthorized
        }
    }
}

impl Ask {
    /// Reads `/{room}` with `token=JWT` in its query.
    pub(super) fn read(path: &str, query: Option<&str>) -> Result<Self, Refused> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let room = path.strip_suffix('/').unwrap_or(path);
        Ok(Self {
            room: room.parse().map_err(|_| Refused::Name)?,
            token: query.and_then(token_of).unwrap_or_default().to_owned(),
        })
    }

    /// With that token where the path brought none.
    pub(super) fn or_token(mut self, token: &[u8]) -> Self {
        if self.token.is_empty() {
            self.token = String::from_utf8_lossy(token).into_owned();
        }
        self
    }
}

/// What a session may do.
pub(super) struct Rights {
    room: RoomName,
    token: String,
    ingest: Option<Claims>,
    play: Option<Claims>,
}

impl Rights {
    /// Judges the token: it has to allow something here.
    pub(super) fn judge(server: &RtmpServer, ask: Ask) -> Result<Self, Refused> {
        let unix = server.clock.unix();
        let allowed = |access| {
            let claims = server.auth.judge(&ask.token, access, unix)?;
            authorize(&claims, access, &ask.room).map(|()| claims)
        };
        let ingest = allowed(Access::Ingest);
        let play = allowed(Access::Play);
        let play = match (&ingest, play) {
            (Err(_), Err(error)) => return Err(error.into()),
            (_, play) => play.ok(),
        };
        Ok(Self {
            ingest: ingest.ok(),
            play,
            room: ask.room,
            token: ask.token,
        })
    }

    pub(super) const fn room(&self) -> &RoomName {
        &self.room
    }

    pub(super) const fn publishes(&self) -> bool {
        self.ingest.is_some()
    }

    pub(super) const fn plays(&self) -> bool {
        self.play.is_some()
    }

    /// On whose word it watches; the room itself ends publishers.
    pub(super) fn watcher(&self) -> Option<Bearer> {
        let play = self.play.as_ref().filter(|_| !self.publishes());
        play.map(Bearer::from)
    }

    /// What it publishes under.
    pub(super) fn key(&self) -> Option<StreamKey> {
        let claims = self.ingest.as_ref()?;
        Some(StreamKey {
            room: self.room.clone(),
            identity: claims.sub.clone(),
            token: self.token.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_the_room() {
        let ask = |token: &str| {
            Ok(Ask {
                room: "studio".parse().unwrap(),
                token: token.to_owned(),
            })
        };
        assert_eq!(Ask::read("/studio", Some("token=a.b-c")), ask("a.b-c"));
        assert_eq!(Ask::read("studio/", Some("x=1&access_token=t")), ask("t"));
        assert_eq!(Ask::read("/studio", None), ask(""));
        assert_eq!(Ask::read("/", None), Err(Refused::Name));
        assert_eq!(Ask::read("/a/b", None), Err(Refused::Name));
        assert_eq!(Ask::read("/a b", None), Err(Refused::Name));
        let apart = Ask::read("/studio", None).unwrap().or_token(b"t");
        assert_eq!(Ok(apart), ask("t"));
        let both = Ask::read("/studio", Some("token=a"))
            .unwrap()
            .or_token(b"t");
        assert_eq!(Ok(both), ask("a"));
    }

    #[test]
    fn refusals_have_their_status() {
        assert_eq!(Refused::from(ErrorType::Forbidden).status(), 403);
        assert_eq!(Refused::from(ErrorType::Unauthorized).status(), 401);
        assert_eq!(Refused::Name.status(), 404);
    }
}
