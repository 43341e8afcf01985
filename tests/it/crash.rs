//! SIGKILL under load, again and again, on one growing data directory.
//!
//! A client knows of each create one of two things: acknowledged, or no answer. What was acknowledged must be there
//! after the restart. What was not may be there or not, but wholly: every project has exactly one audit entry, and the
//! other way round.

use crate::process::Home;
use crate::server::{Client, Server, Session};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const CLIENTS: usize = 8;

/// Older rows looked up again after each restart; at the end all are.
const SAMPLE: usize = 20;

/// What the clients know when the server is gone: ids that were acknowledged, names that were sent and never answered.
#[derive(Default)]
struct Known {
    acknowledged: Vec<String>,
    unanswered: Vec<String>,
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let rounds = std::env::var("OMNISTACK_CRASH_ROUNDS").map_or(50, |n| n.parse().unwrap());
    let mut server = Server::new();
    let mut session = server.register_and_sign_in("ada@example.com");
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..rounds {
        let chance = RandomState::new().hash_one(round);
        let wait = Duration::from_millis(20 + chance % 281);
        eprintln!("round {round}: killed {wait:?} into the load, {} rows acknowledged before", acknowledged.len());
        let known = kill_under_load(&mut server, &session.access, round, wait);
        server.restart();
        // The session has to outlive the kill, too.
        session = Session::of(&session.email, &server.refresh(&session.refresh).expect(200));

        let old = (0..SAMPLE.min(acknowledged.len()))
            .map(|i| &acknowledged[(chance as usize).wrapping_add(i * 7919) % acknowledged.len()]);
        for id in known.acknowledged.iter().chain(old) {
            server.project(&session.access, id).expect(200);
        }
        check_unanswered(&server, &session, &known.unanswered);
        check_effects(&server.home.database());
        acknowledged.extend(known.acknowledged);
    }
    assert!(acknowledged.len() >= rounds * CLIENTS);

    let walked: Vec<_> = server.walk_projects(&session.access, 100, || ());
    let listed: HashSet<_> = walked.iter().map(|project| project["id"].as_str().unwrap()).collect();
    assert_eq!(listed.len(), walked.len(), "no row is listed twice");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !listed.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "acknowledged, and not in the list: {lost:?}");

    let (home, output) = server.terminate();
    output.expect(0);
    check_file(&home, listed.len());
}

/// One round: load, a kill at a random moment of it, and what the clients know afterwards.
fn kill_under_load(server: &mut Server, access: &str, round: usize, wait: Duration) -> Known {
    let client = Client::clone(server);
    let progress = AtomicUsize::new(0);
    let parts: Vec<Known> = thread::scope(|scope| {
        let run = |i| {
            let (client, progress) = (&client, &progress);
            scope.spawn(move || load(client, access, &format!("r{round}-c{i}"), progress))
        };
        let threads: Vec<_> = (0..CLIENTS).map(run).collect();
        while progress.load(Ordering::Relaxed) < CLIENTS && !threads.iter().any(|t| t.is_finished()) {
            thread::yield_now();
        }
        thread::sleep(wait);
        server.kill9();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    parts.into_iter().fold(Known::default(), |mut all, part| {
        all.acknowledged.extend(part.acknowledged);
        all.unanswered.extend(part.unanswered);
        all
    })
}

/// Creates projects until the server no longer answers.
fn load(client: &Client, access: &str, prefix: &str, progress: &AtomicUsize) -> Known {
    let mut known = Known::default();
    for n in 0.. {
        let name = format!("{prefix}-{n}");
        let call = client.post("/api/v1/app/projects").bearer(access).json(&json!({"name": name}));
        match call.try_send() {
            Ok(answer) => known.acknowledged.push(answer.expect(201).str("/id")),
            Err(_) => {
                known.unanswered.push(name);
                break;
            }
        }
        progress.fetch_add(1, Ordering::Relaxed);
    }
    known
}

/// An unanswered create is there at most once, and then as a whole project of its owner.
fn check_unanswered(server: &Server, session: &Session, names: &[String]) {
    let db = open(&server.home.database());
    let mut find = db.prepare("select id from projects where name = ?1").unwrap();
    for name in names {
        let ids: Vec<String> = find.query_map([name], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(ids.len() <= 1, "{name} was created {} times", ids.len());
        for id in &ids {
            assert_eq!(server.project(&session.access, id).expect(200).str("/name"), *name);
        }
    }
}

/// Projects and their `project.created` entries are one to one.
fn check_effects(database: &Path) -> i64 {
    let counts = "with entries as (select resource_id, count(*) n from audit_entries
                                   where action = 'project.created' group by resource_id)
                  select (select count(*) from projects), (select coalesce(sum(n), 0) from entries),
                         (select count(*) from projects p join entries e on e.resource_id = p.id where e.n = 1)";
    let read = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (projects, entries, pairs): (i64, i64, i64) = open(database).query_row(counts, [], read).unwrap();
    assert_eq!((projects, projects), (entries, pairs), "projects, and those with exactly one entry");
    projects
}

/// The file itself, with the server gone.
fn check_file(home: &Home, listed: usize) {
    let verdict: String = open(&home.database()).query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    assert_eq!(check_effects(&home.database()), listed as i64);
}

fn open(database: &Path) -> Connection {
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}
