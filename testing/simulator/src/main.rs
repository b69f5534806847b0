//! `lastpass-simulator`: the simulator as a program, for demos and manual tests.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use jiff::Timestamp;
use lastpass_simulator::{Clock, CompanySize, Quirks, Simulator, World};
use tokio::signal::unix::{SignalKind, signal};

/// Serves the LastPass Enterprise API of a fictional company on 127.0.0.1.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Port to listen on; 0 selects a free port
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Account number (cid)
    #[arg(long, default_value = "12345")]
    account: String,
    /// Valid provisioning hash (provhash)
    #[arg(long, env = "LASTPASS_SIMULATOR_PROVISIONING_HASH", hide_env_values = true)]
    provisioning_hash: String,
    /// Seed of the company: equal seeds, sizes and ends give equal companies
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Events in the history
    #[arg(long, default_value_t = 60_000)]
    events: usize,
    /// Days that the history goes back
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Share of events with an equal event in the same second
    #[arg(long, default_value_t = 0.15)]
    twins: f64,
    /// Users
    #[arg(long, default_value_t = 2_500)]
    users: usize,
    /// Shared folders
    #[arg(long, default_value_t = 300)]
    folders: usize,
    /// Most users of a folder
    #[arg(long, default_value_t = 50)]
    folder_users: usize,
    /// JSON file with switches; see the README
    #[arg(long)]
    quirks: Option<PathBuf>,
    /// End of the history, RFC 3339; default: now
    #[arg(long)]
    end: Option<Timestamp>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("lastpass-simulator: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let quirks = match &options.quirks {
        Some(file) => read_quirks(file)?,
        None => Quirks::default(),
    };
    let company = CompanySize {
        events: options.events,
        days: options.days,
        twin_share: options.twins,
        users: options.users,
        folders: options.folders,
        max_folder_users: options.folder_users,
    };
    let end = options.end.unwrap_or_else(|| Clock::Real.now());
    let world =
        World::company(options.seed, &company, end).with_credentials(options.account, options.provisioning_hash);
    let simulator = Simulator::start_on(options.port, world, quirks)?;
    println!("listening on {}", simulator.url());
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}

fn read_quirks(file: &std::path::Path) -> Result<Quirks, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{} has no valid switches: {error}", file.display()))
}
