//! A bucket for tests: a service on a real socket that keeps what is put, or fails as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use signaling::Secret;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::config::S3Config;

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// Keeps the object.
    Keep,
    /// Answers with this status.
    Answer(u16),
    /// Never answers.
    Hang,
}

#[derive(Default)]
struct Inside {
    objects: BTreeMap<String, Vec<u8>>,
    /// How it treats keys that end with this; it keeps the others.
    conduct: BTreeMap<String, Conduct>,
    asked: BTreeMap<String, usize>,
}

/// The service; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Bucket {
    inside: Arc<Mutex<Inside>>,
    asked: Arc<watch::Sender<usize>>,
    port: u16,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bucket = Self {
            inside: Arc::default(),
            asked: Arc::new(watch::Sender::new(0)),
            port: listener.local_addr().unwrap().port(),
        };
        let service = bucket.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move { service.serve(stream).await });
            }
        });
        bucket
    }

    /// Settings that lead here.
    pub(crate) fn config(&self) -> S3Config {
        S3Config {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            region: "us-east-1".to_owned(),
            bucket: "kept".to_owned(),
            prefix: "rooms/".to_owned(),
            access_key_id: "key".to_owned(),
            secret_access_key: Secret::new("secret"),
            delete_local: false,
        }
    }

    /// How keys that end with this are treated from now on.
    pub(crate) fn treat(&self, end: &str, conduct: Conduct) {
        let mut inside = self.inside.lock().unwrap();
        inside.conduct.insert(end.to_owned(), conduct);
    }

    /// The keys it has.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.inside
            .lock()
            .unwrap()
            .objects
            .keys()
            .cloned()
            .collect()
    }

    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.inside.lock().unwrap().objects.get(key).cloned()
    }

    /// How often it was asked to keep this.
    pub(crate) fn asked_of(&self, key: &str) -> usize {
        let inside = self.inside.lock().unwrap();
        inside.asked.get(key).copied().unwrap_or(0)
    }

    /// Requests until now.
    pub(crate) fn asked(&self) -> watch::Receiver<usize> {
        self.asked.subscribe()
    }

    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some((key, body)) = read(&mut stream).await {
            let status = match self.take(key, body) {
                Conduct::Keep => 200,
                Conduct::Answer(status) => status,
                Conduct::Hang => std::future::pending().await,
            };
            let head = format!("HTTP/1.1 {status} X\r\netag: \"1\"\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    }

    fn take(&self, key: String, body: Vec<u8>) -> Conduct {
        let mut inside = self.inside.lock().unwrap();
        *inside.asked.entry(key.clone()).or_default() += 1;
        let mut all = inside.conduct.iter();
        let found = all.find(|(end, _)| key.ends_with(end.as_str()));
        let conduct = found.map_or(Conduct::Keep, |(_, conduct)| *conduct);
        if conduct == Conduct::Keep {
            inside.objects.insert(key, body);
        }
        drop(inside);
        self.asked.send_modify(|asked| *asked += 1);
        conduct
    }
}

/// One request: the key behind the bucket, and the body.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(path) = line.strip_prefix("put /kept/") {
            key = path.split(' ').next()?.to_owned();
        } else if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((key, body))
}
