//! The client side of HTTP: a builder over ureq for well-formed calls, a bare socket for the others.

use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;
use ureq::Agent;

/// The documented error codes and the status of each.
const CODES: [(u16, &str); 17] = [
    (400, "BAD_REQUEST"),
    (401, "AUTHENTICATION_ERROR"),
    (402, "PAYMENT_REQUIRED"),
    (403, "AUTHORIZATION_ERROR"),
    (404, "NOT_FOUND"),
    (405, "METHOD_NOT_ALLOWED"),
    (409, "CONFLICT"),
    (412, "PRECONDITION_FAILED"),
    (413, "PAYLOAD_TOO_LARGE"),
    (415, "UNSUPPORTED_MEDIA_TYPE"),
    (422, "VALIDATION_ERROR"),
    (428, "PRECONDITION_REQUIRED"),
    (429, "RATE_LIMIT_EXCEEDED"),
    (500, "INTERNAL_ERROR"),
    (502, "EXTERNAL_SERVICE_ERROR"),
    (503, "SERVICE_UNAVAILABLE"),
    (504, "GATEWAY_TIMEOUT"),
];

/// Words that only an inside speaks.
const LEAKS: [&str; 8] = ["panicked", "backtrace", "RUST_", ".rs:", "src/", "thread '", "sqlite", "stack trace"];

/// Connections that follow no redirect, take every status for an answer and ignore the proxies of the environment.
pub fn connections() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(30)));
    config.build().into()
}

/// One request in the making.
pub struct Call {
    connections: Agent,
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call {
    pub fn new(connections: &Agent, method: &'static str, url: String) -> Self {
        Call { connections: connections.clone(), method, url, headers: Vec::new(), body: None }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, value: &Value) -> Self {
        let mut call = self.header("content-type", "application/json");
        call.body = Some(value.to_string().into_bytes());
        call
    }

    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<_> = fields.iter().map(|(k, v)| format!("{}={}", percent(k), percent(v))).collect();
        let mut call = self.header("content-type", "application/x-www-form-urlencoded");
        call.body = Some(pairs.join("&").into_bytes());
        call
    }

    /// The answer, or why none came.
    pub fn try_send(self) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(self.method).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = match self.body {
            Some(body) => self.connections.run(request.body(body).unwrap())?,
            None => self.connections.run(request.body(()).unwrap())?,
        };
        let headers = response.headers().iter();
        let headers =
            headers.map(|(k, v)| (k.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        Ok(Answer { call: format!("{} {}", self.method, self.url), status, headers, body })
    }

    #[track_caller]
    pub fn send(self) -> Answer {
        let call = format!("{} {}", self.method, self.url);
        self.try_send().unwrap_or_else(|e| panic!("{call}: {e}"))
    }
}

fn percent(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A whole response. Its methods panic with all of it when an expectation fails.
#[derive(Debug, Clone)]
pub struct Answer {
    call: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("body is not JSON ({e}): {}", self.describe()))
    }

    /// A string member of the body, by JSON pointer.
    #[track_caller]
    pub fn str(&self, pointer: &str) -> String {
        let json = self.json();
        let text = json.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no string at {pointer}: {}", self.describe())).to_string()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.describe());
        self
    }

    /// The answer is the one shape of error, with this status and the code that belongs to it; returns its body.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        let whole = self.describe();
        assert_eq!(self.status, status, "{whole}");
        let code = CODES.iter().find(|(s, _)| *s == status).unwrap_or_else(|| panic!("undocumented: {whole}")).1;
        assert!(self.header("content-type").is_some_and(|t| t.starts_with("application/problem+json")), "{whole}");
        let body = self.json();
        assert_eq!(body["error"]["code"], code, "{whole}");
        assert_eq!(body["status"], status, "{whole}");
        for pointer in ["/error/message", "/type", "/title", "/detail", "/instance", "/request_id"] {
            let text = body.pointer(pointer).and_then(Value::as_str);
            assert!(text.is_some_and(|t| !t.is_empty()), "{pointer} is missing: {whole}");
        }
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{whole}");
        for word in LEAKS {
            assert!(!self.text().contains(word), "speaks of {word:?}: {whole}");
        }
        body
    }

    /// The body without what differs between two requests by design.
    pub fn without_request_id(&self) -> Value {
        let mut body = self.json();
        if let Some(object) = body.as_object_mut() {
            object.remove("request_id");
        }
        body
    }

    fn describe(&self) -> String {
        let text: String = self.text().chars().take(2000).collect();
        format!("{} -> {}\n{:?}\n{text}", self.call, self.status, self.headers)
    }
}

/// Writes `request` as it is to a connection of its own and reads the answer; ask for `Connection: close` in it.
#[track_caller]
pub fn raw(address: &str, name: &str, request: &[u8]) -> Answer {
    raw_with(address, name, |stream| {
        let _ = stream.write_all(request);
    })
}

/// Like [`raw`] for a request of any length: the server may answer, and hang up, before `write` is through.
#[track_caller]
pub fn raw_with(address: &str, name: &str, write: impl FnOnce(&mut TcpStream) + Send) -> Answer {
    let stream = TcpStream::connect(address).unwrap_or_else(|e| panic!("{name}: {e}"));
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || write(&mut writer));
        read_answer(stream, name)
    })
}

/// Reads to the end of the stream and takes the last response on it, behind any `100 Continue`.
#[track_caller]
pub fn read_answer(mut stream: TcpStream, name: &str) -> Answer {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16384]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            // A reset after the answer is how a server refuses the rest of a body.
            Err(e) if e.kind() == ErrorKind::ConnectionReset && !bytes.is_empty() => break,
            Err(e) => panic!("{name}: {e} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    while bytes.starts_with(b"HTTP/1.1 100") {
        bytes.drain(..head_length(&bytes, name));
    }
    parse(&bytes, name)
}

#[track_caller]
fn head_length(bytes: &[u8], name: &str) -> usize {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
    end.unwrap_or_else(|| panic!("{name}: no HTTP response in {:?}", String::from_utf8_lossy(bytes))) + 4
}

#[track_caller]
fn parse(bytes: &[u8], name: &str) -> Answer {
    let (head, body) = bytes.split_at(head_length(bytes, name));
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':')).map(|(k, v)| (k.to_lowercase(), v.trim().to_string()));
    let mut answer = Answer {
        call: name.to_string(),
        status: status.unwrap_or_else(|| panic!("{name}: no status in {head}")),
        headers: headers.collect(),
        body: body.to_vec(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = dechunk(body);
    }
    answer
}

fn dechunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&body[..end]), 16).unwrap();
        let start = end + 2;
        if size == 0 || body.len() < start + size + 2 {
            break;
        }
        whole.extend_from_slice(&body[start..start + size]);
        body = &body[start + size + 2..];
    }
    whole
}

/// Runs `act` on `n` threads that all begin at the same moment; the answers come in the order of their numbers.
pub fn together<T: Send>(n: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let gate = Barrier::new(n);
    thread::scope(|scope| {
        let runner = |i| {
            let (gate, act) = (&gate, &act);
            scope.spawn(move || {
                gate.wait();
                act(i)
            })
        };
        let threads: Vec<_> = (0..n).map(runner).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}
