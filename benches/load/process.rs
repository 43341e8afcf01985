//! A server as an operating-system process: started on a directory of its own, read through `/proc`, ended by its id.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. Dropped before it was stopped, it is killed.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub cold_start: Duration,
}

/// Memory in MB and threads, as the kernel counts them.
pub struct Footprint {
    pub rss_mb: f64,
    pub peak_rss_mb: f64,
    pub threads: u64,
}

/// Who spent the processors: seconds since some start, or cores in use over a time.
pub struct Cpu {
    pub server: f64,
    pub client: f64,
    /// Everything else on the machine, and what a hypervisor took: the larger, the less the rates mean.
    pub others: f64,
}

impl Cpu {
    /// The cores in use on average since `before`, `wall` seconds ago.
    pub fn since(&self, before: &Self, wall: f64) -> Self {
        let cores = |now: f64, then: f64| (now - then) / wall;
        Self {
            server: cores(self.server, before.server),
            client: cores(self.client, before.client),
            others: cores(self.others, before.others).max(0.0),
        }
    }
}

impl Server {
    /// Starts `command` and waits until `health` answers 200. Without an `address` the server's standard output tells
    /// it, as the first URL there. Logs go to `server.log` in `dir`, as they would to a journal.
    pub fn start(command: &mut Command, dir: &Path, address: Option<SocketAddr>, health: &str) -> Result<Self> {
        let log = File::create(dir.join("server.log"))?;
        let out = if address.is_some() { Stdio::from(log.try_clone()?) } else { Stdio::piped() };
        let started = Instant::now();
        let child = command.current_dir(dir).stdin(Stdio::null()).stdout(out).stderr(log).spawn();
        let child = child.with_context(|| format!("starting {}", command.get_program().display()))?;
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address: address.unwrap_or(unknown), cold_start: Duration::ZERO };
        let ready = server.await_ready(address.is_none(), health, started);
        ready.with_context(|| format!("the server did not start; its log ends:\n{}", tail(dir)))?;
        Ok(server)
    }

    fn await_ready(&mut self, printed: bool, health: &str, started: Instant) -> Result<()> {
        if printed {
            self.address = self.printed_address()?;
        }
        let url = format!("http://{}{health}", self.address);
        let agent = super::product::agent();
        while started.elapsed() < PATIENCE {
            if agent.get(&url).call().is_ok_and(|answer| answer.status() == 200) {
                self.cold_start = started.elapsed();
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("no 200 from {url} within {} s", PATIENCE.as_secs())
    }

    fn printed_address(&mut self) -> Result<SocketAddr> {
        let out = self.child.stdout.take().context("its standard output is not captured")?;
        let (found, first) = mpsc::channel();
        // Reads to the end, so that a later line finds no closed pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let host = line.split_once("http://").and_then(|(_, rest)| rest.split(['/', ' ']).next());
                if let Some(Ok(address)) = host.map(str::parse) {
                    // Only the first is waited for.
                    let _ = found.send(address);
                }
            }
        });
        first.recv_timeout(PATIENCE).context("it printed no URL on standard output")
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// Processor seconds spent so far, user and system.
    pub fn cpu(&self) -> Result<Cpu> {
        let (server, client) = (cpu_of(&self.proc("stat"))?, cpu_of("/proc/self/stat")?);
        Ok(Cpu { server, client, others: busy()? - server - client })
    }

    /// Starts a new peak, so that each scenario has its own.
    pub fn reset_peak(&self) -> Result<()> {
        fs::write(self.proc("clear_refs"), "5").context("resetting the peak of resident memory")
    }

    /// Memory and threads now, and the peak since the last reset.
    pub fn footprint(&self) -> Result<Footprint> {
        let status = fs::read_to_string(self.proc("status"))?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|l| l.strip_prefix(name));
            let value = line.and_then(|l| l.trim_start_matches(':').split_whitespace().next());
            Ok(value.with_context(|| format!("no {name} in /proc/PID/status"))?.parse()?)
        };
        Ok(Footprint {
            rss_mb: field("VmRSS")? / 1024.0,
            peak_rss_mb: field("VmHWM")? / 1024.0,
            threads: field("Threads")? as u64,
        })
    }

    /// Asks the server to end (SIGTERM) and insists on exit status 0.
    pub fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no such process id")?;
        kill_process(pid, Signal::TERM)?;
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    bail!("after SIGTERM the server ended with {status}, not 0")
                };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("the server did not end within {} s of SIGTERM", PATIENCE.as_secs())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail harmlessly on a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cpu_of(stat: &str) -> Result<f64> {
    let text = fs::read_to_string(stat).with_context(|| format!("reading {stat}: the harness needs Linux"))?;
    // The name in parentheses may hold spaces; user and system ticks are the 12th and 13th field after it.
    seconds(text.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').skip(11).take(2))
}

fn busy() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    // user nice system idle iowait irq softirq steal; guest time is already in user.
    let ticks = text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8).enumerate();
    seconds(ticks.filter(|(i, _)| !matches!(i, 3 | 4)).map(|(_, ticks)| ticks))
}

fn seconds<'t>(ticks: impl Iterator<Item = &'t str>) -> Result<f64> {
    let ticks = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>().context("reading processor time")?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn tail(dir: &Path) -> String {
    let log = fs::read_to_string(dir.join("server.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// An address on this machine that nothing listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
