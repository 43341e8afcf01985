//! SIGTERM: what was begun is finished, the database is left tidy; a second signal waits for nothing.

use crate::http::read_answer;
use crate::process::{PATIENCE, eventually};
use crate::server::{PASSWORD, READY, Server};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request whose body is held back. The handler has asked for it, so the request is in flight for certain.
struct Held {
    stream: TcpStream,
    body: String,
}

impl Held {
    fn post(server: &Server, path: &str, token: &str, body: String) -> Self {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nexpect: 100-continue\r\n\r\n",
            server.address(),
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut invitation = [0; 25];
        stream.read_exact(&mut invitation).unwrap();
        assert_eq!(&invitation, b"HTTP/1.1 100 Continue\r\n\r\n");
        Held { stream, body }
    }

    fn finish(mut self) -> u16 {
        self.stream.write_all(self.body.as_bytes()).unwrap();
        read_answer(self.stream, "the request in flight").status
    }
}

/// Draining has begun when readiness says so, or nobody answers any more.
fn await_draining(server: &Server) {
    eventually("draining after SIGTERM", PATIENCE, || match server.get(READY).try_send() {
        Ok(answer) if answer.status == 200 => None,
        Ok(answer) => {
            answer.expect(503);
            Some(())
        }
        Err(_) => Some(()),
    });
}

#[test]
fn sigterm_finishes_requests_in_flight_and_leaves_no_log_behind() {
    let server = Server::new();
    let user = server.register_and_sign_in("ada@example.com");
    let project = json!({"name": "begun before the signal"}).to_string();
    let login = json!({"email": user.email, "password": PASSWORD}).to_string();
    let write = Held::post(&server, "/api/v1/app/projects", &user.access, project);
    let slow: Vec<_> =
        (0..8).map(|_| Held::post(&server, "/api/v1/public/auth/login", &user.access, login.clone())).collect();

    server.signal("TERM");
    await_draining(&server);
    let slow = std::thread::scope(|scope| {
        let threads: Vec<_> = slow.into_iter().map(|held| scope.spawn(|| held.finish())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(slow, [200; 8]);
    assert_eq!(write.finish(), 201);

    let (home, output) = server.wait();
    output.expect(0);
    let log = home.data().join("omnistack.db-wal");
    assert!(std::fs::metadata(&log).map_or(0, |m| m.len()) == 0, "the write-ahead log is not checkpointed");
    let db = rusqlite::Connection::open(home.database()).unwrap();
    let kept: i64 = db.query_row("select count(*) from projects", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1);
}

#[test]
fn an_idle_server_ends_at_once_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let server = Server::new();
        server.signal(signal);
        server.wait().1.expect(0);
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut server = Server::new();
    let user = server.register_and_sign_in("ada@example.com");
    let held = Held::post(&server, "/api/v1/app/projects", &user.access, json!({"name": "never sent"}).to_string());
    server.signal("TERM");
    await_draining(&server);
    assert_eq!(server.exit_code(), None, "it waits for the request in flight");
    server.signal("TERM");
    let code = eventually("exit after the second signal", Duration::from_secs(1), || server.exit_code());
    assert_ne!(code, 0);
    drop(held);
}
