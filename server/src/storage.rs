//! Storage for finished files: services that speak Amazon S3's protocol.

mod answers;
#[cfg(test)]
pub(crate) mod bucket;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use media_types::Clock;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig, WriteMultipart,
};
use tokio::sync::Mutex;

use crate::config::S3Config;
use crate::ops::breaker::Breaker;
use answers::Answers;

/// Bytes put at once; larger files go in parts of this size. S3 takes at most 10,000 parts.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// What is tried again before the operator is told; files wait and are tried again after that too.
const RETRIES: usize = 2;
const RETRY_TIME: Duration = Duration::from_secs(10);
/// What the service may take to answer a part or a small file: 8 MiB at 2 Mbit/s.
const ANSWER_TIME: Duration = Duration::from_secs(32);
/// And to be connected to.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Parts on their way at one time.
const PARTS_AT_ONCE: usize = 2;

/// Why a file is not stored.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The file is not here any more.
    #[error("the file is gone: {0}")]
    Gone(io::Error),
    /// The file is here and cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(io::Error),
    /// The service answers, and does not take this object.
    #[error("the object is refused: {0}")]
    Refused(object_store::Error),
    /// The service does not answer, or fails itself.
    #[error("the storage fails: {0}")]
    Unreachable(object_store::Error),
    /// The service failed again and again, and is not asked for this long.
    #[error("the storage is left alone for {0:?}")]
    Resting(Duration),
}

/// How long the service is asked before a put has failed.
#[derive(Debug, Clone, Copy)]
struct Patience {
    answer: Duration,
    retries: usize,
    /// Nothing is tried again after this long.
    retry_time: Duration,
}

const PATIENCE: Patience = Patience {
    answer: ANSWER_TIME,
    retries: RETRIES,
    retry_time: RETRY_TIME,
};

/// Where finished files go.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    answers: Answers,
    clock: Arc<dyn Clock>,
    breaker: Arc<Breaker>,
    /// One put at a time: what is answered meanwhile is of that put.
    turn: Arc<Mutex<()>>,
    prefix: String,
    delete_local: bool,
}

impl Storage {
    /// With these settings; nothing is asked of the service yet.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(config: &S3Config, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::patient(config, clock, PATIENCE)
    }

    fn patient(config: &S3Config, clock: Arc<dyn Clock>, patience: Patience) -> io::Result<Self> {
        let retry = RetryConfig {
            max_retries: patience.retries,
            retry_timeout: patience.retry_time,
            ..RetryConfig::default()
        };
        let options = ClientOptions::new()
            .with_timeout(patience.answer)
            .with_connect_timeout(CONNECT_TIME);
        let answers = Answers::default();
        let mut builder = AmazonS3Builder::new()
            .with_http_connector(answers.clone())
            .with_client_options(options)
            .with_retry(retry)
            .with_region(&config.region)
            .with_bucket_name(&config.bucket)
            .with_access_key_id(&config.access_key_id)
            .with_secret_access_key(config.secret_access_key.expose());
        if let Some(endpoint) = &config.endpoint {
            builder = builder
                .with_allow_http(endpoint.starts_with("http://"))
                .with_endpoint(endpoint);
        }
        let store = builder.build().map_err(io::Error::other)?;
        Ok(Self {
            store: Arc::new(store),
            answers,
            clock,
            breaker: Arc::new(Breaker::new("storage")),
            turn: Arc::default(),
            prefix: config.prefix.clone(),
            delete_local: config.delete_local,
        })
    }

    /// Whether files here are removed once they are stored.
    #[must_use]
    pub const fn deletes_local(&self) -> bool {
        self.delete_local
    }

    /// Stores a file under this name; once it is answered, the service has it.
    ///
    /// # Errors
    /// Whose fault it is that the service has it not. One that cannot be read asks nobody.
    pub async fn put(&self, file: &Path, name: &str) -> Result<(), StorageError> {
        let _turn = self.turn.lock().await;
        let key = Key::from(format!("{}{name}", self.prefix));
        let mut file = File::open(file).map_err(unread)?;
        let part = read_part(&mut file)?;
        let admitted = self.breaker.admit(self.clock.now());
        admitted.map_err(StorageError::Resting)?;
        self.answers.forget();
        let put = if part.len() < PART_BYTES {
            let put = self.store.put(&key, PutPayload::from(part)).await;
            put.map(|_| ()).map_err(|error| self.fault(error))
        } else {
            self.put_parts(&key, part, &mut file).await
        };
        // A service that refuses answers.
        let failed = matches!(put, Err(StorageError::Unreachable(_)));
        self.breaker.note(!failed, self.clock.now());
        put
    }

    async fn put_parts(
        &self,
        key: &Key,
        mut part: Vec<u8>,
        file: &mut File,
    ) -> Result<(), StorageError> {
        let fault = |error| self.fault(error);
        let upload = self.store.put_multipart(key).await.map_err(fault)?;
        let mut write = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        while !part.is_empty() {
            write.put(part.into());
            let space = write.wait_for_capacity(PARTS_AT_ONCE).await;
            space.map_err(fault)?;
            part = read_part(file)?;
        }
        write.finish().await.map(|_| ()).map_err(fault)
    }

    fn fault(&self, error: object_store::Error) -> StorageError {
        if self.answers.refused() {
            StorageError::Refused(error)
        } else {
            StorageError::Unreachable(error)
        }
    }
}

fn unread(error: io::Error) -> StorageError {
    if error.kind() == io::ErrorKind::NotFound {
        StorageError::Gone(error)
    } else {
        StorageError::Unreadable(error)
    }
}

fn read_part(file: &mut File) -> Result<Vec<u8>, StorageError> {
    let mut part = Vec::with_capacity(PART_BYTES);
    let most = u64::try_from(PART_BYTES).unwrap_or(u64::MAX);
    let read = file.by_ref().take(most).read_to_end(&mut part);
    read.map_err(unread)?;
    Ok(part)
}
