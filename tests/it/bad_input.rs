//! Requests that are wrong in every way: each gets its 4xx in the one shape of error, creates nothing and harms nobody.

use crate::http::{Answer, raw, raw_with};
use crate::server::Server;
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

const CREATE: &str = "POST /api/v1/app/projects";
const JSON: &str = "content-type: application/json\r\n";

/// A name for the report, the request, and the status it must get.
type Bad = (&'static str, &'static str, &'static str, Vec<u8>, u16);

/// A body for the creation of a project.
fn body(name: &'static str, body: impl Into<Vec<u8>>, status: u16) -> Bad {
    (name, CREATE, JSON, body.into(), status)
}

/// A request without a body.
fn line(name: &'static str, line: &'static str, status: u16) -> Bad {
    (name, line, "", Vec::new(), status)
}

/// The bytes of a request by a signed-in user on a connection of its own.
fn request(line: &str, token: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let own = format!("host: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n");
    let head = format!("{line} HTTP/1.1\r\n{own}{headers}{length}\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends them all, reports every one that is not refused as it must be, and sees that nothing has come of any.
#[track_caller]
fn refuse(cases: Vec<Bad>) {
    let server = Server::new();
    let token = server.register_and_sign_in("ada@example.com").access;
    let refused = |(name, line, headers, body, status): &Bad| {
        let answer = raw(server.address(), name, &request(line, &token, headers, body));
        check_problem(&answer, *status);
    };
    let wrong: Vec<_> = cases
        .iter()
        .filter(|case| catch_unwind(AssertUnwindSafe(|| refused(case))).is_err())
        .map(|case| case.0)
        .collect();
    assert!(wrong.is_empty(), "not refused as they must be: {wrong:?}");
    assert_unharmed(&server, &token);
}

#[track_caller]
fn check_problem(answer: &Answer, status: u16) {
    let problem = answer.problem(status);
    if status == 422 {
        let details = problem["error"]["details"].as_array().unwrap_or_else(|| panic!("no details: {problem}"));
        assert!(!details.is_empty(), "{problem}");
        for detail in details {
            assert!(["field", "code", "message"].iter().all(|key| detail[key].is_string()), "{problem}");
        }
    }
}

/// No project was created, and the next well-formed request succeeds.
#[track_caller]
fn assert_unharmed(server: &Server, token: &str) {
    assert_eq!(server.walk_projects(token, 100, || ()), Vec::<Value>::new());
    server.create_project(token, "a good one");
}

#[test]
fn bodies() {
    let long = |n: usize| json!({"name": "x".repeat(n)}).to_string();
    refuse(vec![
        body("NUL in a string", r#"{"name":"a\u0000b"}"#, 422),
        body("raw NUL", *b"{\"name\":\"a\0b\"}", 400),
        body("control characters", r#"{"name":"a\u0007b"}"#, 422),
        body("lone surrogate", r#"{"name":"\ud800"}"#, 400),
        body("empty name", r#"{"name":""}"#, 422),
        body("blank name", r#"{"name":"   "}"#, 422),
        body("name too long", long(256), 422),
        body("name far too long", long(100_000), 422),
        body("description too long", json!({"name": "x", "description": "y".repeat(2001)}).to_string(), 422),
        body("explicit null", r#"{"name":null}"#, 422),
        body("missing name", "{}", 422),
        body("number for a string", r#"{"name":5}"#, 422),
        body("list for a string", r#"{"name":["x"]}"#, 422),
        body("object for a string", r#"{"name":{"x":1}}"#, 422),
        body("unknown field", r#"{"name":"x","colour":"red"}"#, 422),
        body("field of the server", r#"{"name":"x","owner_id":"01890000-0000-7000-8000-000000000000"}"#, 422),
        body("broken JSON", r#"{"name":"#, 400),
        body("not JSON", "name=x", 400),
        body("two values", r#"{"name":"x"} {"name":"y"}"#, 400),
        body("array", r#"[{"name":"x"}]"#, 422),
        body("string", r#""x""#, 422),
        body("null", "null", 422),
        body("deep nesting", ["[".repeat(50_000), "]".repeat(50_000)].concat(), 400),
        body("deep nesting in a field", format!(r#"{{"name":{}1{}}}"#, "[".repeat(50_000), "]".repeat(50_000)), 400),
        body("invalid UTF-8", *b"{\"name\":\"\xff\xfe\"}", 400),
        ("empty body", CREATE, "content-type: application/json\r\ncontent-length: 0\r\n", vec![], 400),
    ]);
}

#[test]
fn several_faults_are_reported_at_once() {
    let server = Server::new();
    let token = server.register_and_sign_in("ada@example.com").access;
    let body = json!({"name": "", "description": "y".repeat(2001)});
    let answer = server.post("/api/v1/app/projects").bearer(&token).json(&body).send();
    let problem = answer.problem(422);
    let named = |field: &str| {
        let details = problem["error"]["details"].as_array().unwrap();
        details.iter().any(|detail| detail["field"].as_str().unwrap().contains(field))
    };
    assert!(named("name") && named("description"), "{problem}");
}

#[test]
fn queries() {
    refuse(vec![
        line("huge skip", "GET /api/v1/app/projects?skip=99999999999999999999999", 422),
        line("negative skip", "GET /api/v1/app/projects?skip=-1", 422),
        line("negative limit", "GET /api/v1/app/projects?limit=-1", 422),
        line("limit of none", "GET /api/v1/app/projects?limit=0", 422),
        line("limit too large", "GET /api/v1/app/projects?limit=101", 422),
        line("limit not a number", "GET /api/v1/app/projects?limit=ten", 422),
        line("limit empty", "GET /api/v1/app/projects?limit=", 422),
        line("unknown parameter", "GET /api/v1/app/projects?colour=red", 422),
        line("duplicate parameter", "GET /api/v1/app/projects?limit=1&limit=2", 422),
        line("parameter where none is", "GET /api/v1/app/users/me?x=1", 422),
        line("invalid UTF-8", "GET /api/v1/app/projects?cursor=%FF%FE", 400),
        line("NUL in a cursor", "GET /api/v1/app/projects?cursor=%00", 422),
        line("NUL in a search", "GET /api/v1/app/projects?search=a%00b", 422),
    ]);
}

#[test]
fn content_types_and_keys() {
    let with = |name, headers, status| (name, CREATE, headers, br#"{"name":"x"}"#.to_vec(), status);
    refuse(vec![
        with("plain text", "content-type: text/plain\r\n", 415),
        with("form", "content-type: application/x-www-form-urlencoded\r\n", 415),
        with("no content type", "", 415),
        with("malformed content type", "content-type: ;;;\r\n", 415),
        with("empty key", "content-type: application/json\r\nidempotency-key:\r\n", 422),
        with("blank in a key", "content-type: application/json\r\nidempotency-key: a b\r\n", 422),
    ]);
}

#[test]
fn routes() {
    refuse(vec![
        line("unknown route", "GET /api/v1/app/nowhere", 404),
        line("unknown version", "GET /api/v9/app/projects", 404),
        line("unknown page", "GET /nowhere", 404),
        line("climbing out", "GET /api/v1/../../etc/passwd", 404),
        line("climbing out, encoded", "GET /api/v1/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
        line("wrong method", "PUT /api/v1/app/projects", 405),
        line("unknown method", "BREW /api/v1/app/projects", 405),
        line("tracing", "TRACE /api/v1/app/projects", 405),
        line("unknown id", "GET /api/v1/app/projects/01890000-0000-7000-8000-000000000000", 404),
        line("not an id", "GET /api/v1/app/projects/one", 404),
        line("not UTF-8 for an id", "GET /api/v1/app/projects/%ff", 400),
    ]);
}

#[test]
fn accounts() {
    let login = |name, json: &str| (name, "POST /api/v1/public/auth/login", JSON, json.into(), 422);
    let register = |name, json: &str| (name, "POST /api/v1/public/auth/register", JSON, json.into(), 422);
    let profile = |name, json: &str| (name, "PATCH /api/v1/app/users/me", JSON, json.into(), 422);
    refuse(vec![
        login("nothing", "{}"),
        login("list for a password", r#"{"email":"a@example.com","password":[]}"#),
        register("NUL in an address", r#"{"email":"a\u0000@example.com","password":"nine quiet orchards"}"#),
        register("not an address", r#"{"email":"x","password":"nine quiet orchards"}"#),
        register("short password", r#"{"email":"a@example.com","password":"x"}"#),
        register("common password", r#"{"email":"a@example.com","password":"1234567890"}"#),
        register("role of one's own", r#"{"email":"a@example.com","password":"nine quiet orchards","role":"admin"}"#),
        profile("NUL in a name", r#"{"full_name":"a\u0000b"}"#),
        profile("role in a profile", r#"{"role":"superadmin"}"#),
        profile("unknown field", r#"{"colour":"red"}"#),
    ]);
}

#[test]
fn files_of_the_machine_are_out_of_reach() {
    let server = Server::new();
    for root in ["", "/docs", "/docs/try", "/assets", "/admin"] {
        for climb in
            ["../../../../../../etc/passwd", "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "/etc/passwd", "%2fetc%2fpasswd"]
        {
            let answer = raw(server.address(), climb, &request(&format!("GET {root}/{climb}"), "", "", b""));
            assert_ne!(answer.status, 200, "{root}/{climb}: {answer:?}");
            assert!(!answer.text().contains("root:"), "{root}/{climb}");
        }
    }
}

#[test]
fn a_wrong_method_names_the_right_ones() {
    let server = Server::new();
    let answer = server.call("PUT", "/api/v1/app/projects").send();
    answer.problem(405);
    let allow = answer.header("allow").expect("an Allow header");
    assert!(allow.contains("GET") && allow.contains("POST") && !allow.contains("PUT"), "{allow}");
}

/// Claims or streams 100 MB; stops when the server has hung up.
fn flood(stream: &mut TcpStream, token: &str, chunked: bool) -> std::io::Result<()> {
    let (block, blocks) = ([b'x'; 64 << 10], (100 << 20) / (64 << 10));
    let framing = if chunked { "transfer-encoding: chunked".into() } else { format!("content-length: {}", 100 << 20) };
    let head = format!("{JSON}{framing}\r\n");
    stream.write_all(&request(CREATE, token, &head, b""))?;
    for _ in 0..blocks {
        if chunked {
            stream.write_all(b"10000\r\n")?;
        }
        stream.write_all(&block)?;
        if chunked {
            stream.write_all(b"\r\n")?;
        }
    }
    if chunked { stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
}

#[test]
fn bodies_of_a_hundred_megabytes() {
    let server = Server::new();
    let token = server.register_and_sign_in("ada@example.com").access;
    for (name, chunked) in [("announced", false), ("chunked", true)] {
        let answer = raw_with(server.address(), name, |stream| drop(flood(stream, &token, chunked)));
        answer.problem(413);
    }
    assert_unharmed(&server, &token);
}

#[test]
fn headers_and_noise() {
    let server = Server::new();
    let token = server.register_and_sign_in("ada@example.com").access;
    let huge = format!("x-huge: {}\r\n", "x".repeat(1 << 20));
    let answer = raw_with(server.address(), "huge header", |stream| {
        let _ = stream.write_all(&request("GET /api/v1/app/projects", &token, &huge, b""));
    });
    assert!((400..500).contains(&answer.status), "{answer:?}");

    for noise in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"",
    ] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let _ = stream.write_all(noise);
    }
    // Fewer bytes than announced, then gone.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(&request(CREATE, &token, "content-length: 500\r\ncontent-type: application/json\r\n", b""))
        .unwrap();
    drop(stream);
    assert_unharmed(&server, &token);
}

#[test]
fn request_ids_are_echoed_only_when_well_formed() {
    let server = Server::new();
    let echo = |id: &str| {
        let answer = server.get("/nowhere").header("x-request-id", id).send();
        answer.problem(404);
        answer.header("x-request-id").unwrap() == id
    };
    assert!(echo("01890000-0000-7000-8000-000000000000"));
    assert!(echo("client-42"));
    for malformed in ["with space", "<script>", "quote\"", "semi;colon", "", &"x".repeat(300)] {
        assert!(!echo(malformed), "{malformed:?} was echoed");
    }
}
