//! The file: one table of keys and values, and its layout's version.

use std::path::{Path, PathBuf};

use control_plane::{ControlPlaneError, Journal};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::limits::CACHE_BYTES;

const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");
const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
const VERSION_KEY: &str = "version";
/// Rises when the tables change.
const VERSION: u32 = 1;

/// Why the file cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its folder cannot be made.
    #[error("the folder of {path} cannot be made")]
    Folder {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// It cannot be opened or read, or another process has it.
    #[error("{path} cannot be opened")]
    File {
        /// The file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Box<redb::Error>,
    },
    /// A newer worker has written it.
    #[error("{path} has version {found}, this worker knows {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// No thread for it.
    #[error("no thread for the store")]
    Thread(#[source] std::io::Error),
}

/// What an earlier process has kept.
pub(crate) type Kept = Vec<(String, Vec<u8>)>;

/// The open file.
pub(crate) struct File {
    database: Database,
}

impl File {
    /// Opens the file, or makes it, and reads all that is in it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Kept), OpenError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder {
                path: path.to_owned(),
                source,
            })?;
        }
        let failed = |source: redb::Error| OpenError::File {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create(path).map_err(|e| failed(e.into()))?;
        let found = begin(&database).map_err(failed)?;
        if found > VERSION {
            let path = path.to_owned();
            return Err(OpenError::Version { path, found });
        }
        let kept = read_all(&database).map_err(failed)?;
        Ok((Self { database }, kept))
    }

    fn write(
        &self,
        change: impl FnOnce(&mut redb::Table<'_, &str, &[u8]>) -> Result<(), redb::StorageError>,
    ) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        change(&mut transaction.open_table(ENTRIES)?)?;
        transaction.commit()?;
        Ok(())
    }
}

/// Makes the tables where they are not, and reads the version.
fn begin(database: &Database) -> Result<u32, redb::Error> {
    let transaction = database.begin_write()?;
    let version = {
        transaction.open_table(ENTRIES)?;
        let mut meta = transaction.open_table(META)?;
        let found = meta.get(VERSION_KEY)?.map(|version| version.value());
        if found.is_none() {
            meta.insert(VERSION_KEY, VERSION)?;
        }
        found.unwrap_or(VERSION)
    };
    transaction.commit()?;
    Ok(version)
}

fn read_all(database: &Database) -> Result<Kept, redb::Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(ENTRIES)?;
    let entries = table.iter()?.map(|entry| {
        let (key, value) = entry?;
        Ok((key.value().to_owned(), value.value().to_vec()))
    });
    entries.collect()
}

impl Journal for File {
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), ControlPlaneError> {
        let written = self.write(|table| table.insert(key, value).map(|_| ()));
        written.map_err(|error| refused(key, &error))
    }

    fn remove(&mut self, key: &str) -> Result<(), ControlPlaneError> {
        let written = self.write(|table| table.remove(key).map(|_| ()));
        written.map_err(|error| refused(key, &error))
    }
}

/// A full disk or a broken file: what is there stays, and is served; nothing new is promised.
fn refused(key: &str, error: &redb::Error) -> ControlPlaneError {
    tracing::error!(key, %error, "the store's file does not take a write");
    ControlPlaneError::Unavailable
}
