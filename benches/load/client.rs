//! The load generator: one thread, one poll, raw HTTP/1.1 over keep-alive connections, each with one request in flight.
//!
//! Client and server share the machine's cores, so what the client burns is missing in the result: requests are bytes made
//! beforehand, of an answer only the status and the length are read, and nothing is allocated per request. The loop is
//! closed: a connection asks again when it is answered, so a stall of the server costs rate and shows in the maximum.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// The key under which an answer that never came is counted, where others have their status.
pub const UNANSWERED: u16 = 0;
/// Longest latency the histogram tells apart, and longest wait for what is in flight at the end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream of requests over its own connections: each sends any of `requests`, drawn at random.
pub struct Lane<'a> {
    pub requests: &'a [Vec<u8>],
    pub connections: usize,
    /// How many requests to send at most.
    pub limit: u64,
}

/// What came back on one lane. Latencies are microseconds, of 2xx answers only.
#[derive(Clone)]
pub struct Tally {
    pub latency: Histogram<u64>,
    pub ok: u64,
    pub errors: BTreeMap<u16, u64>,
}

impl Tally {
    fn new() -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, PATIENCE.as_micros() as u64, 3)?;
        Ok(Self { latency, ok: 0, errors: BTreeMap::new() })
    }

    fn fail(&mut self, status: u16) {
        *self.errors.entry(status).or_default() += 1;
    }
}

struct Connection {
    stream: TcpStream,
    lane: usize,
    answer: Vec<u8>,
    filled: usize,
    asked: Option<Instant>,
}

/// The connections of all lanes and what they have measured so far.
pub struct Client<'a> {
    address: SocketAddr,
    poll: Poll,
    lanes: Vec<Lane<'a>>,
    connections: Vec<Connection>,
    sent: Vec<u64>,
    tallies: Vec<Tally>,
    random: u64,
}

impl<'a> Client<'a> {
    /// Opens every connection of `lanes` to a server on this machine.
    pub fn connect(address: SocketAddr, lanes: Vec<Lane<'a>>) -> Result<Self> {
        if !address.ip().is_loopback() {
            bail!("{address} is not this machine: the load stays on the loopback interface");
        }
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for (lane, plan) in lanes.iter().enumerate() {
            for _ in 0..plan.connections {
                let stream = open(&poll, address, connections.len())?;
                connections.push(Connection { stream, lane, answer: vec![0; 16 * 1024], filled: 0, asked: None });
            }
        }
        let tallies = lanes.iter().map(|_| Tally::new()).collect::<Result<_>>()?;
        let sent = vec![0; lanes.len()];
        Ok(Self { address, poll, lanes, connections, sent, tallies, random: 0x9E37_79B9_7F4A_7C15 })
    }

    /// Keeps every connection asking until the time is over or the lanes' limits are spent and answered.
    pub fn run(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        for index in 0..self.connections.len() {
            if self.connections[index].asked.is_none() {
                self.ask(index)?;
            }
        }
        self.turn(end, true)
    }

    /// Forgets what was measured; requests in flight go on.
    pub fn reset(&mut self) -> Result<()> {
        for tally in &mut self.tallies {
            *tally = Tally::new()?;
        }
        Ok(())
    }

    /// What the lanes have measured since the last reset.
    pub fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// Waits for what is in flight without asking anew, so that the slowest answers are not missing, and hands out the result.
    pub fn finish(mut self) -> Result<Vec<Tally>> {
        self.turn(Instant::now() + PATIENCE, false)?;
        for connection in self.connections.iter().filter(|c| c.asked.is_some()) {
            self.tallies[connection.lane].fail(UNANSWERED);
        }
        Ok(self.tallies)
    }

    fn turn(&mut self, end: Instant, asking: bool) -> Result<()> {
        let mut events = Events::with_capacity(256);
        while self.connections.iter().any(|c| c.asked.is_some()) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                other => other.context("waiting for answers")?,
            }
            for event in &events {
                let index = event.token().0;
                self.hear(index)?;
                if asking && self.connections[index].asked.is_none() {
                    self.ask(index)?;
                }
            }
        }
        Ok(())
    }

    /// Sends the connection's next request, if its lane has one left.
    fn ask(&mut self, index: usize) -> Result<()> {
        let number = self.connections[index].lane;
        let lane = &self.lanes[number];
        if self.sent[number] >= lane.limit {
            return Ok(());
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let requests: &'a [Vec<u8>] = lane.requests;
        let request = &requests[(self.random % requests.len() as u64) as usize];
        self.sent[number] += 1;
        for _ in 0..2 {
            let connection = &mut self.connections[index];
            match connection.stream.write(request) {
                Ok(n) if n == request.len() => {
                    connection.filled = 0;
                    connection.asked = Some(Instant::now());
                    return Ok(());
                }
                Ok(n) => bail!("the system took {n} of {} bytes of a request", request.len()),
                Err(_) => self.reopen(index)?,
            }
        }
        bail!("the server at {} closes every connection", self.address)
    }

    /// Reads what has arrived and counts the answer once it is whole. The poll is edge-triggered: a short read has
    /// emptied the socket, only a full buffer asks for another read.
    fn hear(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        loop {
            let space = connection.answer.len() - connection.filled;
            match connection.stream.read(&mut connection.answer[connection.filled..]) {
                Ok(n) if n == space => {
                    connection.filled += n;
                    let double = connection.answer.len() * 2;
                    connection.answer.resize(double, 0);
                }
                Ok(n) if n > 0 => {
                    connection.filled += n;
                    break;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return self.reopen(index),
            }
        }
        let Some(asked) = connection.asked else { return Ok(()) };
        let Some(status) = whole(&connection.answer[..connection.filled])? else { return Ok(()) };
        let tally = &mut self.tallies[connection.lane];
        if (200..300).contains(&status) {
            tally.ok += 1;
            tally.latency.saturating_record(asked.elapsed().as_micros() as u64);
        } else {
            tally.fail(status);
        }
        connection.asked = None;
        Ok(())
    }

    /// Counts a lost request, if one was in flight, and replaces the connection the server has closed.
    fn reopen(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        if connection.asked.take().is_some() {
            self.tallies[connection.lane].fail(UNANSWERED);
        }
        connection.stream = open(&self.poll, self.address, index)?;
        Ok(())
    }
}

fn open(poll: &Poll, address: SocketAddr, index: usize) -> Result<TcpStream> {
    let stream = std::net::TcpStream::connect(address).with_context(|| format!("the server at {address} is gone"))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
    Ok(stream)
}

/// The status of an answer that has arrived whole, or none yet. One request is in flight, so nothing can follow it.
fn whole(answer: &[u8]) -> Result<Option<u16>> {
    let Some(head) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = answer.split_at(head + 4);
    let status = head.get(9..12).and_then(|s| std::str::from_utf8(s).ok()).and_then(|s| s.parse().ok());
    let Some(status) = status else { bail!("not an HTTP answer: {}", String::from_utf8_lossy(head)) };
    let complete = if let Some(length) = header(head, b"content-length:") {
        let length: usize = std::str::from_utf8(length)?.trim().parse().context("reading Content-Length")?;
        body.len() >= length
    } else if header(head, b"transfer-encoding:").is_some() {
        body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n")
    } else {
        if !matches!(status, 204 | 304) {
            bail!("an answer tells neither its length nor its end: {}", String::from_utf8_lossy(head));
        }
        true
    };
    Ok(complete.then_some(status))
}

fn header<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    head.split(|b| *b == b'\n')
        .find(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))
        .map(|line| &line[name.len()..])
}
