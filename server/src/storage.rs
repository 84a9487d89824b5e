//! Storage for finished files: services that speak Amazon S3's protocol.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig, WriteMultipart};

use crate::config::S3Config;

/// Bytes put at once; larger files go in parts of this size. S3 takes at most 10,000 parts.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// What is tried again before the operator is told; files wait and are tried again after that too.
const RETRIES: usize = 2;
const RETRY_TIME: Duration = Duration::from_secs(10);
/// Parts on their way at one time.
const PARTS_AT_ONCE: usize = 2;

/// Where finished files go.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    delete_local: bool,
}

impl Storage {
    /// With these settings; nothing is asked of the service yet.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(config: &S3Config) -> io::Result<Self> {
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIME,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new()
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
    /// The file cannot be read, or the service refuses or does not answer.
    pub async fn put(&self, file: &Path, name: &str) -> io::Result<()> {
        let key = Key::from(format!("{}{name}", self.prefix));
        let mut file = File::open(file)?;
        let mut part = read_part(&mut file)?;
        if part.len() < PART_BYTES {
            let put = self.store.put(&key, PutPayload::from(part)).await;
            return put.map(|_| ()).map_err(io::Error::other);
        }
        let upload = self
            .store
            .put_multipart(&key)
            .await
            .map_err(io::Error::other)?;
        let mut write = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        while !part.is_empty() {
            write.put(part.into());
            write
                .wait_for_capacity(PARTS_AT_ONCE)
                .await
                .map_err(io::Error::other)?;
            part = read_part(&mut file)?;
        }
        write.finish().await.map(|_| ()).map_err(io::Error::other)
    }
}

fn read_part(file: &mut File) -> io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(PART_BYTES);
    let most = u64::try_from(PART_BYTES).unwrap_or(u64::MAX);
    file.by_ref().take(most).read_to_end(&mut part)?;
    Ok(part)
}
