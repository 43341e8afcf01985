//! What was measured, as one JSON document and as markdown tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::client::{Tally, UNANSWERED};

/// The whole run.
#[derive(Serialize)]
pub struct Report {
    pub machine: Machine,
    pub seconds: u64,
    pub connections: usize,
    pub servers: Vec<Startup>,
    pub results: Vec<Row>,
}

/// What the figures depend on besides the servers.
#[derive(Serialize)]
pub struct Machine {
    pub cpus: usize,
    pub load_before: f64,
    /// Median of flushing 4 KB to the disk that holds the data: what a durable write cannot beat alone.
    pub fdatasync_ms: f64,
}

/// A server before any load.
#[derive(Serialize)]
pub struct Startup {
    pub server: &'static str,
    pub binary_mb: f64,
    pub cold_start_ms: f64,
    pub cold_starts_ms: Vec<f64>,
    pub idle_rss_mb: f64,
    pub idle_threads: u64,
    pub seeded_rss_mb: f64,
}

/// One scenario on one server. In a mixed scenario the processor is not told apart by request, so `server_cpu_us` is absent.
#[derive(Serialize)]
pub struct Row {
    pub server: &'static str,
    pub rows: usize,
    pub scenario: String,
    pub connections: usize,
    pub req_s: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub requests: u64,
    pub errors: BTreeMap<String, u64>,
    pub server_cpu_us: Option<f64>,
    pub client_cpu_us: Option<f64>,
    /// Cores that neither server nor client used.
    pub other_cores: f64,
    pub rss_mb: f64,
    pub peak_rss_mb: f64,
    pub threads: u64,
}

/// Errors by status, for people.
pub fn errors(tally: &Tally) -> BTreeMap<String, u64> {
    let name = |status: u16| if status == UNANSWERED { "unanswered".to_owned() } else { status.to_string() };
    tally.errors.iter().map(|(status, count)| (name(*status), *count)).collect()
}

/// Rounded to `digits` after the point: more would be noise.
pub fn round(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (value * unit).round() / unit
}

impl Row {
    /// The row's line of the table.
    pub fn line(&self) -> String {
        let errors = match self.errors.is_empty() {
            true => "0".to_owned(),
            false => self.errors.iter().map(|(name, count)| format!("{count} × {name}")).collect::<Vec<_>>().join(", "),
        };
        let cpu = self.server_cpu_us.map_or("–".to_owned(), |us| format!("{us:.1}"));
        format!(
            "| {} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.1} | {errors} | {cpu} | {:.2} | {:.1} | {:.1} | {} |",
            self.scenario,
            self.server,
            self.rows,
            self.connections,
            self.req_s,
            self.p50_ms,
            self.p90_ms,
            self.p99_ms,
            self.max_ms,
            self.other_cores,
            self.rss_mb,
            self.peak_rss_mb,
            self.threads
        )
    }
}

impl Report {
    /// The tables of README.md.
    pub fn markdown(&self) -> String {
        let Machine { cpus, load_before, fdatasync_ms } = self.machine;
        let mut out = format!(
            "{cpus} cores shared by client and server, load average before {load_before}, fdatasync of 4 KB {fdatasync_ms} ms, \
             {} connections, {} s a scenario.\n\n\
             | server | binary MB | cold start ms | idle RSS MB | idle threads | RSS MB after seeding |\n\
             |---|---:|---:|---:|---:|---:|\n",
            self.connections, self.seconds
        );
        for s in &self.servers {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "| {} | {:.1} | {:.1} | {:.1} | {} | {:.1} |",
                s.server, s.binary_mb, s.cold_start_ms, s.idle_rss_mb, s.idle_threads, s.seeded_rss_mb
            );
        }
        out += "\n| scenario | server | rows | conn. | req/s | p50 ms | p90 ms | p99 ms | max ms | errors | server CPU µs/req \
                | other cores | RSS MB | peak RSS MB | threads |\n\
                |---|---|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|\n";
        for row in &self.results {
            out += &row.line();
            out.push('\n');
        }
        out
    }
}
