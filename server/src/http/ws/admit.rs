//! From the parameters of `join` to a verified wish.

use media_types::RoomName;
use signaling::client_message::JoinParams;
use signaling::{ErrorType, RoomPattern, RpcError};

use super::Socket;
use crate::auth::{Access, authorize};
use crate::http::rooms::{JoinRequest, Via};

impl Socket {
    /// Judges the token or the resume token.
    pub(super) fn admit(&self, mut params: JoinParams) -> Result<JoinRequest, RpcError> {
        let given = params.token.take();
        match params.resume.take() {
            Some(resume) => self.admit_again(resume.expose(), params),
            None => {
                let token = given.as_ref().or(self.token.as_ref());
                let token = token.ok_or(ErrorType::Unauthorized)?;
                self.admit_new(token.expose(), params)
            }
        }
    }

    fn admit_new(&self, token: &str, params: JoinParams) -> Result<JoinRequest, RpcError> {
        let state = &self.state;
        let claims = state.auth.judge(token, Access::Join, state.unix())?;
        let room = self.room(claims.troupe.room.as_ref())?;
        authorize(&claims, Access::Join, &room)?;
        Ok(JoinRequest {
            identity: claims.sub.clone(),
            room,
            grants: claims.troupe.clone(),
            claims: Some(claims),
            resume: None,
            params,
            via: Via::WebSocket,
            outbox: self.out.clone(),
        })
    }

    /// Sessions are taken up again even while the worker drains: they are here already.
    fn admit_again(&self, token: &str, params: JoinParams) -> Result<JoinRequest, RpcError> {
        let claims = self.state.auth.judge_resume(token, self.state.unix())?;
        Ok(JoinRequest {
            identity: claims.sub.clone(),
            room: claims.room.clone(),
            grants: claims.grants.clone(),
            claims: None,
            resume: Some(claims),
            params,
            via: Via::WebSocket,
            outbox: self.out.clone(),
        })
    }

    /// The token's room; the URL's, where the token is for many.
    fn room(&self, pattern: Option<&RoomPattern>) -> Result<RoomName, RpcError> {
        let named = self.query.room.as_deref().map(str::parse::<RoomName>);
        let named = named.transpose().map_err(|error| {
            RpcError::with_message(ErrorType::InvalidParams, format!("room: {error}"))
        })?;
        match (named, pattern) {
            (Some(room), _) => Ok(room),
            (None, Some(RoomPattern::Exact(room))) => Ok(room.clone()),
            (None, None) => Err(ErrorType::Forbidden.into()),
            (None, Some(RoomPattern::Prefix(_))) => Err(RpcError::with_message(
                ErrorType::InvalidParams,
                "the token is for many rooms: name one as ?room= in the URL",
            )),
        }
    }
}
