//! What operators type: `troupe serve`, `troupe token`, `troupe admin`, `troupe config`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use media_types::{Clock, Identity};
use signaling::Grants;
use signaling::token::{AdminRole, Grant, RoomPattern};

use crate::auth::{TokenRequest, issue};
use crate::clock::SystemClock;
use crate::config::{self, Config, ConfigError, Sources, duration};
use crate::run::{self, EXIT_SETTINGS};
use crate::tls::TlsError;

mod admin;
mod told;

/// The worker that was asked refused, or did not answer.
const EXIT_REFUSED: u8 = 1;

/// Troupe, a real-time media server.
#[derive(Debug, Parser)]
#[command(name = "troupe", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a worker
    Serve(ServeArgs),
    /// Prints a token that this worker believes, and nothing else
    Token(TokenArgs),
    /// Asks a running worker, or tells it what to do
    Admin(admin::AdminArgs),
    /// Looks at settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Where settings come from.
#[derive(Debug, Args)]
struct SourceArgs {
    /// For development: known keys, this machine only, nothing to configure
    #[arg(long)]
    dev: bool,
    /// The settings file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, over file and environment, as in `http.workers=4`
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// With `--dev`: open to the local network, over HTTPS with a certificate made at start
    #[arg(long, requires = "dev")]
    lan: bool,
}

#[derive(Debug, Args)]
struct TokenArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// The room; may end in `*`
    #[arg(long)]
    room: RoomPattern,
    /// Whom it is for
    #[arg(long)]
    identity: Identity,
    /// What it grants, between commas: publish, subscribe, data, ingest, play
    #[arg(long, value_delimiter = ',', default_value = "publish,subscribe,data")]
    grant: Vec<Grant>,
    /// What its bearer may do through the admin API: viewer, operator, admin
    #[arg(long, value_parser = role)]
    admin: Option<AdminRole>,
    /// How long it lives
    #[arg(long, default_value = "15m", value_parser = lifetime)]
    ttl: Duration,
    /// Lets it be used for one join alone
    #[arg(long)]
    once: bool,
    /// The name of the key that signs; the first that can, if not given
    #[arg(long)]
    key: Option<String>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Checks a settings file
    Check {
        /// The file
        file: PathBuf,
    },
    /// Prints the JSON Schema of the settings file
    Schema,
    /// Prints the documented default settings file
    Default,
}

/// Why a command of the command line failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}: {1}")]
    Read(PathBuf, #[source] std::io::Error),
    #[error("no key of auth.keys can sign{}", of(.0.as_deref()))]
    Key(Option<String>),
    #[error("{0} is longer than {1} allows ({2})")]
    Lifetime(String, &'static str, String),
    #[error("the worker: {0}")]
    Ask(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Run(#[from] run::RunError),
}

/// The key that was asked for, as the end of a sentence.
fn of(name: Option<&str>) -> String {
    name.map(|name| format!(": {name}")).unwrap_or_default()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve(args) => serve(args),
        Command::Token(args) => token(args).map(|token| println!("{token}")),
        Command::Admin(args) => admin::run(args).map(|answer| println!("{answer}")),
        Command::Config(command) => configuration(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("troupe: {}", told::told(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

const fn exit_code(error: &CliError) -> u8 {
    match error {
        CliError::Config(_)
        | CliError::Read(..)
        | CliError::Key(_)
        | CliError::Lifetime(..)
        | CliError::Tls(_) => EXIT_SETTINGS,
        CliError::Ask(_) => EXIT_REFUSED,
        CliError::Run(error) => error.exit_code(),
    }
}

fn serve(args: ServeArgs) -> Result<(), CliError> {
    let config = load(args.sources, args.lan)?;
    Ok(run::serve(config)?)
}

fn token(args: TokenArgs) -> Result<String, CliError> {
    let config = load(args.sources, false)?;
    let auth = &config.auth;
    let (longest, setting) = if args.grant.contains(&Grant::Ingest) {
        (auth.ingest_max_ttl, "auth.ingest_max_ttl")
    } else {
        (auth.join_max_ttl, "auth.join_max_ttl")
    };
    if args.ttl > longest {
        let [asked, longest] = [args.ttl, longest].map(duration::format);
        return Err(CliError::Lifetime(asked, setting, longest));
    }
    let named = |name: &str| args.key.as_ref().is_none_or(|wanted| wanted == name);
    let mut keys = auth.keys.iter();
    let key = keys.find(|key| named(&key.name) && key.secret.is_some());
    let key = key.ok_or_else(|| CliError::Key(args.key.clone()))?;
    let mut grants = Grants::for_room(args.room);
    for grant in args.grant {
        grants = grants.with(grant);
    }
    grants.admin = args.admin;
    let request = TokenRequest {
        identity: args.identity,
        grants,
        ttl: args.ttl,
        once: args.once,
    };
    issue(key, request, SystemClock.unix()).map_err(|_unusable| CliError::Key(args.key))
}

fn configuration(command: ConfigCommand) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check { file } => {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| CliError::Read(file.clone(), error))?;
            Config::check_text(&text, &file)?;
            println!("{}: good", file.display());
        }
        ConfigCommand::Schema => println!("{:#}", config::schema()),
        ConfigCommand::Default => print!("{}", config::REFERENCE),
    }
    Ok(())
}

fn load(args: SourceArgs, lan: bool) -> Result<Config, ConfigError> {
    Config::load(&Sources {
        dev: args.dev,
        lan,
        file: args.config,
        environment: std::env::vars().collect(),
        flags: args.set,
    })
}

fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn lifetime(text: &str) -> Result<Duration, &'static str> {
    duration::parse(text).ok_or("expected a duration such as 20s, 15m or 30d")
}

fn role(text: &str) -> Result<AdminRole, &'static str> {
    match text {
        "viewer" => Ok(AdminRole::Viewer),
        "operator" => Ok(AdminRole::Operator),
        "admin" => Ok(AdminRole::Admin),
        _ => Err("expected viewer, operator or admin"),
    }
}

#[cfg(test)]
mod tests;
