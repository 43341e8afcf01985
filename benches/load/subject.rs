//! One product on trial: its cold starts, its accounts and rows, and a scenario run against it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::client::{Client, Lane, Tally};
use super::process::{Cpu, Footprint, Server};
use super::product::{Account, Ask, Product};
use super::report::{Row, Startup, errors, round};
use super::{Scenario, median, scratch};

/// Projects of the account that reads; those beyond belong to others.
pub const OWN_ROWS: usize = 1000;
const ROWS_PER_ACCOUNT: usize = 10_000;
const COLD_STARTS: usize = 5;
const WARM_UP: Duration = Duration::from_secs(2);
const LONGEST_FILL: Duration = Duration::from_secs(600);

/// A product that runs and is filled. Its directory is removed with it, after the server's end.
pub struct Subject {
    product: Product,
    server: Server,
    startup: Startup,
    reader: Account,
    writer: Account,
    caller: Account,
    ids: Vec<String>,
    rows: usize,
    _dir: TempDir,
}

/// Who asks for what, over how many connections.
struct Share {
    name: String,
    ask: Ask,
    connections: usize,
}

/// What a scenario did to the server, and per lane the answers within `wall` seconds and all answers with their latency.
struct Load {
    wall: f64,
    cores: Cpu,
    footprint: Footprint,
    in_time: Vec<u64>,
    tallies: Vec<Tally>,
}

impl Subject {
    /// Measures cold starts, then starts for good with an administrator and three users, of whom the reader owns 1,000
    /// projects.
    pub fn open(product: Product) -> Result<Self> {
        eprintln!("{}: {}", product.name(), product.binary().display());
        let mut starts = Vec::new();
        for _ in 0..COLD_STARTS {
            let dir = scratch()?;
            let server = product.start(dir.path())?;
            starts.push(server.cold_start);
            server.stop()?;
        }
        let dir = scratch()?;
        let server = product.start(dir.path())?;
        std::thread::sleep(WARM_UP);
        let idle = server.footprint()?;
        product.prepare(dir.path(), server.address)?;
        let register = |email| product.register(server.address, email);
        let (reader, writer) = (register("reader@example.com")?, register("writer@example.com")?);
        let caller = register("caller@example.com")?;
        let ids = product.seed(server.address, &reader, OWN_ROWS)?;
        product.check_page(server.address, &reader)?;
        let startup = Startup {
            server: product.name(),
            binary_mb: round(std::fs::metadata(product.binary())?.len() as f64 / 1e6, 1),
            cold_starts_ms: starts.iter().map(|t| round(t.as_secs_f64() * 1e3, 1)).collect(),
            cold_start_ms: round(median(starts), 1),
            idle_rss_mb: round(idle.rss_mb, 1),
            idle_threads: idle.threads,
            seeded_rss_mb: round(server.footprint()?.rss_mb, 1),
        };
        Ok(Self { product, server, startup, reader, writer, caller, ids, rows: OWN_ROWS, _dir: dir })
    }

    /// Ends the server in good order and hands out how it had started.
    pub fn close(self) -> Result<Startup> {
        self.server.stop().with_context(|| self.product.name())?;
        Ok(self.startup)
    }

    /// Creates projects of further accounts until there are `rows`, and signs in anew.
    pub fn fill(&mut self, rows: usize, connections: usize) -> Result<()> {
        let address = self.server.address;
        let missing = rows - self.rows;
        if missing > 0 {
            eprintln!("{}: creating {missing} projects", self.product.name());
            let mut requests = Vec::new();
            for n in 0..missing.div_ceil(ROWS_PER_ACCOUNT) {
                let owner = self.product.register(address, &format!("owner{n}@example.com"))?;
                requests.extend(self.product.requests(Ask::Create, address, &owner, &[]));
            }
            let lane = Lane { requests: &requests, connections, limit: missing as u64 };
            let mut client = Client::connect(address, vec![lane])?;
            client.run(LONGEST_FILL)?;
            for tally in client.finish()? {
                let (ok, errors) = (tally.ok, errors(&tally));
                ensure!(ok == missing as u64, "created only {ok} of {missing} projects within 10 minutes: {errors:?}");
            }
            self.rows = rows;
        }
        self.product.renew(address, &mut self.reader)?;
        self.product.renew(address, &mut self.writer)
    }

    /// Runs one scenario: a row of the report for each of its shares.
    pub fn measure(&self, scenario: &Scenario, connections: usize, time: Duration) -> Result<Vec<Row>> {
        let quarter = connections / 4;
        let share = |connections| Share { name: scenario.name.to_owned(), ask: scenario.ask, connections };
        let sign_in = || Share { name: format!("{}: sign-in", scenario.name), ask: Ask::SignIn, connections: quarter };
        let shares = if scenario.beside_sign_in {
            vec![share(connections - quarter), sign_in()]
        } else {
            vec![share(if scenario.ask == Ask::SignIn { quarter } else { connections })]
        };
        let load = self.load(&shares, time)?;
        Ok(shares.iter().enumerate().map(|(lane, share)| self.row(share, &load, lane)).collect())
    }

    fn requests(&self, ask: Ask) -> Vec<Vec<u8>> {
        let account = match ask {
            Ask::Create => &self.writer,
            Ask::SignIn => &self.caller,
            Ask::Health | Ask::Get | Ask::List => &self.reader,
        };
        self.product.requests(ask, self.server.address, account, &self.ids)
    }

    /// Warms up, measures, and waits for what is still in flight.
    fn load(&self, shares: &[Share], time: Duration) -> Result<Load> {
        let requests: Vec<_> = shares.iter().map(|share| self.requests(share.ask)).collect();
        let lane = |(share, requests): (&Share, _)| Lane { requests, connections: share.connections, limit: u64::MAX };
        let lanes = shares.iter().zip(requests.iter().map(Vec::as_slice)).map(lane).collect();

        self.server.reset_peak()?;
        let mut client = Client::connect(self.server.address, lanes)?;
        client.run(WARM_UP)?;
        client.reset()?;
        let (before, started) = (self.server.cpu()?, Instant::now());
        client.run(time)?;
        let wall = started.elapsed().as_secs_f64();
        let cores = self.server.cpu()?.since(&before, wall);
        let footprint = self.server.footprint()?;
        let in_time = client.tallies().iter().map(|t| t.ok).collect();
        Ok(Load { wall, cores, footprint, in_time, tallies: client.finish()? })
    }

    fn row(&self, share: &Share, load: &Load, lane: usize) -> Row {
        let (tally, in_time) = (&load.tallies[lane], load.in_time[lane]);
        let ms = |quantile| round(tally.latency.value_at_quantile(quantile) as f64 / 1e3, 2);
        let alone = load.tallies.len() == 1 && in_time > 0;
        let per_request = |cores: f64| alone.then(|| round(cores * load.wall * 1e6 / in_time as f64, 1));
        Row {
            server: self.product.name(),
            rows: self.rows,
            scenario: share.name.clone(),
            connections: share.connections,
            req_s: round(in_time as f64 / load.wall, 0),
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            max_ms: round(tally.latency.max() as f64 / 1e3, 2),
            requests: in_time,
            errors: errors(tally),
            server_cpu_us: per_request(load.cores.server),
            client_cpu_us: per_request(load.cores.client),
            other_cores: round(load.cores.others, 2),
            rss_mb: round(load.footprint.rss_mb, 1),
            peak_rss_mb: round(load.footprint.peak_rss_mb, 1),
            threads: load.footprint.threads,
        }
    }
}
