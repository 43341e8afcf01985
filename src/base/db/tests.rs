//! The promises of the store, on whichever engine the tests run on.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::poll;
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use super::{Db, DbError, Dialect, OnUnique, migrate, params};
use crate::app::{App, Claim, Taken};
use crate::base::config::DatabaseUrl;
use crate::base::error::{Code, Error, Result};
use crate::base::principal::Principal;
use crate::testing::TestApp;
use crate::users;

const INSERT: &str = "insert into probes (n, text) values (?1, 'x')";

/// A store with an empty table `probes`.
async fn store() -> TestApp {
    store_with((1024, 4096, 4)).await
}

async fn store_with((writes, reads, pool): (u32, u32, u32)) -> TestApp {
    let test = TestApp::with(|config| {
        let section = &mut config.database;
        (section.write_queue, section.read_queue, section.pool_size) = (writes, reads, pool);
    });
    let test = test.await;
    batch(&test.app.db, "create table probes (n bigint primary key, text text not null)").await.unwrap();
    test
}

async fn batch(db: &Db, sql: &str) -> Result<()> {
    let sql = sql.to_owned();
    db.write(move |tx| Ok(tx.batch(&sql)?)).await
}

async fn add(db: &Db, n: i64) -> Result<u64> {
    db.write(move |tx| Ok(tx.execute(INSERT, params![n])?)).await
}

async fn rows(db: &Db) -> Vec<i64> {
    db.read(|c| Ok(c.all("select n from probes order by n", &[], |row| row.get("n"))?)).await.unwrap()
}

#[tokio::test]
async fn each_of_a_group_stands_or_falls_alone() {
    let test = store().await;
    let (db, hooked) = (&test.app.db, Arc::new(Mutex::new(BTreeSet::new())));
    let writes = (0..300_i64).map(|n| {
        let hooked = hooked.clone();
        db.write(move |tx| {
            let hooked = hooked.clone();
            tx.after_commit(move || assert!(hooked.lock().unwrap().insert(n)));
            tx.execute(INSERT, params![n])?;
            match n % 3 {
                0 => Ok(n),
                1 => Err(Error::conflict(format!("refused {n}"))),
                // Without the hook that would print it.
                _ => resume_unwind(Box::new(format!("panicked {n}"))),
            }
        })
    });
    for (n, outcome) in (0..).zip(join_all(writes).await) {
        match (n % 3, outcome) {
            (0, Ok(answer)) => assert_eq!(answer, n),
            (1, Err(Error::Client(refusal))) => assert_eq!(refusal.message, format!("refused {n}")),
            (2, Err(Error::Internal(error))) => assert!(error.to_string().ends_with(&format!("panicked {n}"))),
            (_, outcome) => panic!("{n}: {outcome:?}"),
        }
    }
    let good: Vec<i64> = (0..300).step_by(3).collect();
    assert_eq!(rows(db).await, good);
    assert_eq!(hooked.lock().unwrap().iter().copied().collect::<Vec<_>>(), good);
}

#[tokio::test]
async fn whoever_is_answered_finds_it_committed_and_announced() {
    let test = store().await;
    for n in 0..20 {
        let announced = Arc::new(Mutex::new(false));
        let flag = announced.clone();
        let write = test.app.db.write(move |tx| {
            let flag = flag.clone();
            tx.after_commit(move || *flag.lock().unwrap() = true);
            Ok(tx.execute(INSERT, params![n])?)
        });
        assert_eq!(write.await.unwrap(), 1);
        assert!(*announced.lock().unwrap());
        assert_eq!(rows(&test.app.db).await.len() as i64, n + 1);
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_undoes_nothing() {
    let test = store().await;
    let mut write = Box::pin(add(&test.app.db, 1));
    let _ = poll!(&mut write);
    drop(write);
    add(&test.app.db, 2).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while rows(&test.app.db).await != [1, 2] {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let test = store_with((1, 1, 1)).await;
    let db = &test.app.db;
    let (entered, mut inside) = unbounded_channel();
    let (release, released) = crossbeam_channel::bounded::<()>(0);
    let mut held = Box::pin(db.write(move |tx| {
        let _ = entered.send(());
        let _ = released.recv();
        Ok(tx.execute(INSERT, params![0_i64])?)
    }));
    assert!(poll!(&mut held).is_pending());
    inside.recv().await.unwrap();
    let mut waiting = Box::pin(add(db, 1));
    assert!(poll!(&mut waiting).is_pending());
    for n in 2..1_000 {
        let std::task::Poll::Ready(Err(error)) = poll!(Box::pin(add(db, n))) else { panic!("{n} was taken in") };
        assert!(matches!(&error, Error::Database(DbError::Busy(_))), "{error:?}");
        assert_eq!((error.code(), error.headers()["retry-after"].to_str().unwrap()), (Code::ServiceUnavailable, "1"));
    }
    drop(release);
    held.await.unwrap();
    waiting.await.unwrap();
    assert_eq!(rows(db).await, [0, 1]);
}

#[tokio::test]
async fn both_engines_refuse_the_same_statements() {
    let test = store().await;
    let db = &test.app.db;
    add(db, 1).await.unwrap();
    batch(db, "create unique index probes_text on probes (text)").await.unwrap();
    for n in [1, 2] {
        let error = add(db, n).await.unwrap_err();
        assert!(matches!(&error, Error::Database(DbError::Unique(_))), "{error:?}");
        assert_eq!(error.code(), Code::Internal);
        let named = db.write(move |tx| tx.execute(INSERT, params![n]).on_unique(|| Error::conflict("taken")));
        assert_eq!(named.await.unwrap_err().code(), Code::Conflict);
    }
    let sql = "select n from probes where n = ?1 or n = ?2";
    for count in [0, 1, 3] {
        let few = vec![1_i64.into(); count];
        let read = db.read(move |c| Ok(c.all(sql, &few, |row| row.get::<i64>("n"))?)).await;
        assert!(matches!(read, Err(Error::Database(DbError::Other(_)))), "{count} parameters: {read:?}");
        let few = vec![1_i64.into(); count];
        let write = db.write(move |tx| Ok(tx.execute("update probes set n = ?1 where n = ?2", &few)?)).await;
        assert!(matches!(write, Err(Error::Database(DbError::Other(_)))), "{count} parameters: {write:?}");
    }
    for bad in ["select nothing from probes", "select n from nowhere", "selec"] {
        let read = db.read(move |c| Ok(c.all(bad, &[], |row| row.get::<i64>("n"))?)).await;
        assert_eq!(read.unwrap_err().code(), Code::Internal, "{bad}");
    }
    let none = db.read(|c| Ok(c.one("select n from probes where n = 9", &[], |row| row.get::<i64>("n"))?)).await;
    assert!(matches!(none, Err(Error::Database(DbError::Other(_)))));
    let text = db.read(|c| Ok(c.one("select text from probes", &[], |row| row.get::<i64>("text"))?)).await;
    assert!(matches!(text, Err(Error::Database(DbError::Other(_)))));
    // None of it harmed the connections.
    assert_eq!(rows(db).await, [1]);
}

#[tokio::test]
async fn a_read_cannot_write() {
    let test = store().await;
    if test.app.db.dialect() == Dialect::Postgres {
        // Its connections serve both; nothing but `Tx` tells a write there.
        return;
    }
    for sql in ["insert into probes (n, text) values (1, 'x')", "drop table probes", "create table others (n bigint)"] {
        test.app.db.read(move |c| Ok(c.execute(sql, &[])?)).await.unwrap_err();
    }
    assert_eq!(rows(&test.app.db).await, [] as [i64; 0]);
}

#[tokio::test]
async fn increments_are_not_lost() {
    let test = store().await;
    let db = &test.app.db;
    add(db, 0).await.unwrap();
    let increment = || {
        db.write(|tx| {
            let n: i64 = tx.one("select n from probes", &[], |row| row.get("n"))?;
            Ok(tx.execute("update probes set n = ?1", params![n + 1])?)
        })
    };
    for _ in 0..50 {
        let (one, two) = tokio::join!(increment(), increment());
        assert_eq!((one.unwrap(), two.unwrap()), (1, 1));
    }
    assert_eq!(rows(db).await, [100]);
}

#[tokio::test]
async fn an_answer_is_kept_even_after_a_failure_that_the_closure_bore() {
    let test = store().await;
    let db = &test.app.db;
    add(db, 1).await.unwrap();
    let write = db.write(|tx| {
        tx.execute(INSERT, params![2_i64])?;
        let borne = tx.execute(INSERT, params![1_i64]).is_err();
        Ok(borne)
    });
    // Postgres has given up the transaction by then: it may refuse, but not accept and forget.
    let accepted = write.await.is_ok();
    assert_eq!(rows(db).await, if accepted { vec![1, 2] } else { vec![1] });
}

#[tokio::test]
async fn two_who_look_before_they_leap_do_not_both_leap() {
    let test = store().await;
    let db = &test.app.db;
    for round in 0..20_i64 {
        // Neither writes what the other reads as a row: only serialisable isolation sees the conflict.
        let leap = |n: i64| {
            db.write(move |tx| {
                let sql = "select count(*) as n from probes where n >= ?1";
                let taken = tx.one(sql, params![round * 10], |row| row.get::<i64>("n"))? > 0;
                if taken { Err(Error::conflict("taken")) } else { Ok(tx.execute(INSERT, params![round * 10 + n])?) }
            })
        };
        let outcomes = join_all((0..4).map(leap)).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    }
    assert_eq!(rows(db).await.len(), 20);
}

/// A store that no migration has seen, opened by two.
async fn blank(test: &TestApp) -> (Db, Db, TempDir) {
    let (mut section, dir) = (test.app.config.database.clone(), tempfile::tempdir().unwrap());
    if let DatabaseUrl::Postgres(url) = &section.url {
        // A schema beside the one that the harness made.
        let url = url.expose().replace("search_path%3Dt_", "search_path%3Du_");
        let schema = url.rsplit("%3D").next().unwrap_or_default();
        batch(&test.app.db, &format!("create schema {schema}")).await.unwrap();
        section.url = DatabaseUrl::Postgres(crate::base::secret::Secret::new(url));
    }
    let open = || Db::open(&section, dir.path(), || {}).unwrap();
    (open(), open(), dir)
}

#[tokio::test]
async fn migrations_run_once_even_if_two_start() {
    let test = TestApp::new().await;
    let (one, two, _dir) = blank(&test).await;
    let known = migrate::status(&one).await.unwrap();
    assert_eq!(known.pending(), known.known.len());
    let (first, second) = tokio::join!(migrate::run(&one, &test.app.clock), migrate::run(&two, &test.app.clock));
    let mut ran = [first.unwrap(), second.unwrap()].concat();
    ran.sort_unstable();
    assert!(ran.iter().eq(known.known.iter().map(|(name, _)| name)), "{ran:?}");
    for db in [&one, &two, &test.app.db] {
        assert_eq!(migrate::run(db, &test.app.clock).await.unwrap(), [] as [&str; 0]);
        assert_eq!(migrate::status(db).await.unwrap().pending(), 0);
    }
}

#[tokio::test]
async fn a_schema_that_is_not_ours_is_refused() {
    let foreign = "insert into migrations (position, name, checksum, applied_at) values (900, '0900_later', 'x', 0)";
    for (sql, why) in [
        ("update migrations set checksum = 'x' where position = 2", "0002_users has changed"),
        ("update migrations set name = '0001_other' where position = 1", "0001_other has changed"),
        (foreign, "newer than this binary: it has run 0900_later"),
    ] {
        let test = TestApp::new().await;
        batch(&test.app.db, sql).await.unwrap();
        let errors = [
            migrate::status(&test.app.db).await.err().unwrap(),
            migrate::run(&test.app.db, &test.app.clock).await.err().unwrap(),
        ];
        for error in errors {
            let Error::Internal(error) = error else { panic!("{error:?}") };
            let told = error.downcast_ref::<migrate::Incompatible>().unwrap().to_string();
            assert!(told.contains(why), "{told}");
        }
    }
}

#[tokio::test]
async fn one_directory_has_one_server() {
    let test = TestApp::new().await;
    let open = |claim| App::open(test.app.config.clone(), test.app.clock.clone(), claim);
    let Some(Error::Internal(error)) = open(Claim::Serve).err() else { panic!("opened twice") };
    assert_eq!(error.downcast_ref::<Taken>().unwrap().0, test.app.config.server.data_dir);
    assert_eq!(open(Claim::Beside).unwrap().db.dialect(), test.app.db.dialect());
}

#[tokio::test]
async fn a_write_from_beside_is_seen() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let me = "/api/v1/app/users/me";
    ada.get(me).await.expect(200);
    let beside = App::open(test.app.config.clone(), test.app.clock.clone(), Claim::Beside).unwrap();
    users::set_active_any_owner(&beside, &Principal::command_line(), ada.id, false).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(2);
    while ada.get(me).await.status == 200 {
        assert!(Instant::now() < deadline, "still served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ada.get(me).await.expect(401);
}

#[tokio::test]
async fn closing_finishes_what_is_queued() {
    let test = store().await;
    let db = &test.app.db;
    let mut writes: Vec<_> = (0..100).map(|n| Box::pin(add(db, n))).collect();
    for write in &mut writes {
        let _ = poll!(write);
    }
    test.app.close().await.unwrap();
    assert!(join_all(writes).await.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(add(db, 100).await.unwrap_err().code(), Code::ServiceUnavailable);
    let again = App::open(test.app.config.clone(), test.app.clock.clone(), Claim::Beside).unwrap();
    assert_eq!(rows(&again.db).await.len(), 100);
}
