//! Asking a worker by HTTP or HTTPS.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::{Client, Method};
use tokio::runtime::{self, Runtime};

use super::Call;
use crate::cli::CliError;
use crate::cli::told::{chain, told};

/// How long the worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The worker that is asked, and what it is asked with.
pub(super) struct Worker {
    base: String,
    token: String,
    client: Client,
    runtime: Runtime,
}

impl Worker {
    pub(super) fn new(base: String, token: String, client: Client) -> Result<Self, CliError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            base,
            token,
            client,
            runtime: runtime.map_err(|error| CliError::Ask(error.to_string()))?,
        })
    }

    pub(super) fn ask(&self, call: &Call) -> Result<String, CliError> {
        let answered = self.runtime.block_on(self.answer(call));
        let (status, answer) = answered.map_err(|error| CliError::Ask(explained(&error)))?;
        if status.is_success() {
            Ok(answer)
        } else {
            Err(CliError::Ask(format!("{status}: {answer}")))
        }
    }

    async fn answer(
        &self,
        Call(method, path, body): &Call,
    ) -> Result<(reqwest::StatusCode, String), reqwest::Error> {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let url = format!("{}/admin/v1/{path}", self.base.trim_end_matches('/'));
        let asked = self.client.request(method, url);
        let mut asked = asked.bearer_auth(&self.token).timeout(PATIENCE);
        if let Some(body) = body {
            asked = asked.header("content-type", "application/json");
            asked = asked.body(body.to_string());
        }
        let answer = asked.send().await?;
        Ok((answer.status(), answer.text().await?))
    }
}

/// An error, and what helps where the worker's certificate is not believed.
fn explained(error: &reqwest::Error) -> String {
    let told = told(error);
    match chain(error).into_iter().any(is_of_certificate) {
        true => format!("{told} (--ca or admin.tls_ca names the authority of its certificate)"),
        false => told,
    }
}

fn is_of_certificate(error: &(dyn Error + 'static)) -> bool {
    if let Some(inner) = error.downcast_ref().and_then(io::Error::get_ref) {
        return is_of_certificate(inner);
    }
    let refused = error.downcast_ref();
    matches!(refused, Some(rustls::Error::InvalidCertificate(_)))
}
