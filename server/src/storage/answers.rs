//! What the storage service answers. The library's errors keep the status of an answer to
//! themselves, and whose fault a failure is stands in it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// Looks at the answers on their way to the library.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    refused: Arc<AtomicBool>,
}

impl Answers {
    /// What was answered until now does not count.
    pub(super) fn forget(&self) {
        self.refused.store(false, Ordering::Relaxed);
    }

    /// The service refused what it was asked since.
    pub(super) fn refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

impl HttpConnector for Answers {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Watched {
            client: ReqwestConnector::default().connect(options)?,
            answers: self.clone(),
        }))
    }
}

#[derive(Debug)]
struct Watched {
    client: HttpClient,
    answers: Answers,
}

type Answer = Result<HttpResponse, HttpError>;

impl HttpService for Watched {
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let answer = self.client.execute(request).await?;
            if is_refusal(answer.status().as_u16()) {
                self.answers.refused.store(true, Ordering::Relaxed);
            }
            Ok(answer)
        })
    }
}

/// Whether an answer is about what was asked. A service that is too slow or asked too much (408,
/// 429) fails itself, as with 500 and above.
const fn is_refusal(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 429)
}
