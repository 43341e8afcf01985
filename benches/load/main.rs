//! The load harness: `cargo bench --bench load` builds the server, starts it on an empty directory and measures cold
//! start, throughput, latency, processor and memory. README.md beside this folder says how to read the result.
//!
//! It judges nothing: figures are compared with the budgets by a reader who knows what else the machine was doing.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a harness outside the product prints, and reads clock, environment and network itself"
)]

mod client;
mod process;
mod product;
mod report;
mod subject;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tempfile::TempDir;

use product::{Ask, Product};
use report::{Machine, Report, round};
use subject::{OWN_ROWS, Subject};

/// What the connections ask for.
pub struct Scenario {
    name: &'static str,
    ask: Ask,
    /// A quarter of the connections hammers sign-in meanwhile.
    beside_sign_in: bool,
}

/// Reads first: what they read must not have grown.
const SCENARIOS: [Scenario; 8] = [
    Scenario { name: "health", ask: Ask::Health, beside_sign_in: false },
    Scenario { name: "get", ask: Ask::Get, beside_sign_in: false },
    Scenario { name: "list", ask: Ask::List, beside_sign_in: false },
    Scenario { name: "sign-in", ask: Ask::SignIn, beside_sign_in: false },
    Scenario { name: "mixed-get", ask: Ask::Get, beside_sign_in: true },
    Scenario { name: "mixed-list", ask: Ask::List, beside_sign_in: true },
    Scenario { name: "mixed-create", ask: Ask::Create, beside_sign_in: true },
    Scenario { name: "create", ask: Ask::Create, beside_sign_in: false },
];

/// Starts OmniStack on an empty directory and measures it under load, on this machine only.
#[derive(Parser)]
#[command(name = "cargo bench --bench load --")]
struct Args {
    /// Measured seconds of each scenario, after 2 s of warm-up
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=30))]
    seconds: u64,
    /// Keep-alive connections; sign-in gets a quarter of them
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(4..=1024))]
    connections: u16,
    /// Only scenarios whose name starts so (health, get, list, sign-in, mixed, create); may be repeated
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// After measuring at 1,000 rows, fill up to this many and measure again
    #[arg(long, default_value_t = OWN_ROWS as u64, value_parser = clap::value_parser!(u64).range(OWN_ROWS as u64..=1_000_000))]
    rows: u64,
    /// One JSON document on standard output instead of the tables
    #[arg(long)]
    json: bool,
    /// A variable for the server's environment, which is otherwise empty; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A PocketBase binary to measure in the same run, scenario by scenario
    #[arg(long, value_name = "FILE")]
    pocketbase: Option<PathBuf>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    // `cargo test --all-targets` starts this too, with arguments of its own.
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("nothing measured: run `cargo bench --bench load`");
        return Ok(());
    }
    let args = Args::parse();
    let report = measure(&args)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => println!("\n{}", report.markdown()),
    }
    Ok(())
}

fn measure(args: &Args) -> Result<Report> {
    let wanted = |s: &&Scenario| args.scenario.is_empty() || args.scenario.iter().any(|name| s.name.starts_with(name));
    let scenarios: Vec<_> = SCENARIOS.iter().filter(wanted).collect();
    ensure!(!scenarios.is_empty(), "no such scenario; there are health, get, list, sign-in, mixed and create");
    let (connections, time) = (usize::from(args.connections), Duration::from_secs(args.seconds));

    let machine = machine()?;
    let mut subjects = products(args)?.into_iter().map(Subject::open).collect::<Result<Vec<_>>>()?;
    let mut results = Vec::new();
    let mut stages = vec![OWN_ROWS, args.rows as usize];
    stages.dedup();
    for rows in stages {
        for subject in &mut subjects {
            subject.fill(rows, connections)?;
        }
        for scenario in &scenarios {
            for subject in &subjects {
                for row in subject.measure(scenario, connections, time)? {
                    eprintln!("{}", row.line());
                    results.push(row);
                }
            }
        }
    }
    let servers = subjects.into_iter().map(Subject::close).collect::<Result<_>>()?;
    Ok(Report { machine, seconds: args.seconds, connections, servers, results })
}

fn products(args: &Args) -> Result<Vec<Product>> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').with_context(|| format!("--env {text}: write NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let environment = args.env.iter().map(pair).collect::<Result<_>>()?;
    let found = |path: PathBuf| path.canonicalize().with_context(|| format!("no server at {}", path.display()));
    let binary = std::env::var_os("OMNISTACK_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_omnistack").into());
    let mut products = vec![Product::OmniStack { binary: found(binary.into())?, environment }];
    if let Some(binary) = &args.pocketbase {
        products.push(Product::PocketBase { binary: found(binary.clone())? });
    }
    Ok(products)
}

/// A scratch directory beside the build, on a real disk: a temporary directory may be memory, where fsync costs nothing.
fn scratch() -> Result<TempDir> {
    Ok(TempDir::with_prefix_in("load-", env!("CARGO_TARGET_TMPDIR"))?)
}

fn machine() -> Result<Machine> {
    let dir = scratch()?;
    let mut file = File::create(dir.path().join("probe"))?;
    let mut flushes = Vec::new();
    for _ in 0..101 {
        file.write_all(&[7; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        flushes.push(started.elapsed());
    }
    let load = std::fs::read_to_string("/proc/loadavg").context("the harness needs Linux")?;
    Ok(Machine {
        cpus: std::thread::available_parallelism()?.get(),
        load_before: load.split(' ').next().unwrap_or_default().parse()?,
        fdatasync_ms: round(median(flushes), 2),
    })
}

/// The median in milliseconds of an odd number of times.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}
