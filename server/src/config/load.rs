//! Reading the layers and joining them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::error::{ConfigError, Origin};
use super::{Config, DEV};

/// What variables of the environment start with.
const ENV_PREFIX: &str = "TROUPE_";

/// The layers, lowest first: defaults, `--dev`, the file, the environment, flags.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--dev`.
    pub dev: bool,
    /// `--lan`, with `--dev` only.
    pub lan: bool,
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// Variables of the environment; those that do not start with `TROUPE_` are passed over.
    pub environment: Vec<(String, String)>,
    /// `--set section.key=value`.
    pub flags: Vec<(String, String)>,
}

impl Config {
    /// Reads and joins all layers, and checks that what they say goes together.
    ///
    /// # Errors
    /// The first setting that cannot be used, with where it came from and its key.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut table = Table::new();
        if sources.dev {
            merge(&mut table, parse(DEV, Path::new("dev.toml"))?);
        }
        if let Some(path) = &sources.file {
            let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
                origin: file(path, None),
                key: String::new(),
                problem: format!("cannot be read: {error}"),
            })?;
            merge(&mut table, parse(&text, path)?);
        }
        for (name, text) in &sources.environment {
            let Some(key) = environment_key(name) else {
                continue;
            };
            set(&mut table, &key, text, &Origin::Environment(name.clone()))?;
        }
        for (key, text) in &sources.flags {
            set(&mut table, key, text, &Origin::Flag)?;
        }
        let mut config = Self::deserialize(table)
            .map_err(|error| ConfigError::unset("", error.message().to_owned()))?;
        config.dev = sources.dev;
        config.lan = sources.dev && sources.lan;
        config.open_to_lan(sources);
        config.validate()?;
        Ok(config)
    }

    /// Checks one file alone, as `troupe config check FILE`.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check_text(text: &str, path: &Path) -> Result<(), ConfigError> {
        parse(text, path).map(|_| ())
    }

    /// `--lan` binds all interfaces, unless an address was named.
    fn open_to_lan(&mut self, sources: &Sources) {
        let named = |key: &str| sources.flags.iter().any(|(flag, _)| flag == key);
        if self.lan && !named("http.listen") {
            self.http
                .listen
                .set_ip(std::net::Ipv4Addr::UNSPECIFIED.into());
        }
        if self.lan && !named("quic.listen") {
            self.quic
                .listen
                .set_ip(std::net::Ipv4Addr::UNSPECIFIED.into());
        }
        if self.lan && !named("webrtc.address") {
            self.webrtc.address = std::net::Ipv4Addr::UNSPECIFIED.into();
        }
    }
}

fn file(path: &Path, line: Option<usize>) -> Origin {
    Origin::File {
        path: path.to_owned(),
        line,
    }
}

/// Parses a file and checks it against [`Config`], so that errors have their line.
fn parse(text: &str, path: &Path) -> Result<Table, ConfigError> {
    let wrong = |error: toml::de::Error| {
        let (line, key) = error.span().map_or((None, String::new()), |span| {
            let (line, key) = locate(text, span.start);
            (Some(line), key)
        });
        ConfigError {
            origin: file(path, line),
            key,
            problem: error.message().to_owned(),
        }
    };
    let table: Table = toml::from_str(text).map_err(wrong)?;
    toml::from_str::<Config>(text).map_err(wrong)?;
    Ok(table)
}

/// The line, from 1, and the key that the byte at `offset` belongs to.
fn locate(text: &str, offset: usize) -> (usize, String) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let lines: Vec<&str> = text.lines().take(line).collect();
    let header = |line: &&&str| line.trim_start().starts_with('[') && !line.contains('=');
    let section = lines.iter().rev().find(header);
    let section = section.map_or("", |line| line.trim().trim_matches(['[', ']']));
    let since = lines.iter().rev().take_while(|line| !header(line));
    let key = since.filter(|line| !line.trim_start().starts_with('#'));
    let key = key.filter_map(|line| line.split_once('=')).next();
    let key = key.map_or("", |(key, _)| key.trim());
    let dot = if section.is_empty() || key.is_empty() {
        ""
    } else {
        "."
    };
    (line, format!("{section}{dot}{key}"))
}

/// Puts `over` on top; tables are joined, everything else is replaced.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// `TROUPE_WEBRTC__PUBLIC_ADDRESSES` → `webrtc.public_addresses`.
fn environment_key(name: &str) -> Option<String> {
    let rest = name.strip_prefix(ENV_PREFIX)?;
    rest.contains("__")
        .then(|| rest.replace("__", ".").to_lowercase())
}

/// Sets one key from text: as TOML where that fits, as a plain string otherwise, and a list from
/// words between commas.
fn set(table: &mut Table, key: &str, text: &str, origin: &Origin) -> Result<(), ConfigError> {
    let as_toml = toml::from_str::<Table>(&format!("value = {text}")).ok();
    let as_toml = as_toml.and_then(|mut table| table.remove("value"));
    let words = text
        .split(',')
        .map(|word| Value::String(word.trim().to_owned()));
    let candidates = as_toml.into_iter().chain([
        Value::String(text.to_owned()),
        Value::Array(words.collect()),
    ]);
    let mut problem = None;
    for value in candidates {
        let mut attempt = table.clone();
        put(&mut attempt, key, value);
        match Config::deserialize(attempt.clone()) {
            Ok(_) => {
                *table = attempt;
                return Ok(());
            }
            Err(error) => {
                problem.get_or_insert_with(|| error.message().to_owned());
            }
        }
    }
    Err(ConfigError {
        origin: origin.clone(),
        key: key.to_owned(),
        problem: problem.unwrap_or_default(),
    })
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let below = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(below) = below {
                put(below, rest, value);
            }
        }
    }
}
