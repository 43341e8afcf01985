//! Health, through the JSON face and the bare addresses.

use serde_json::{Value, json};

use crate::base::db::params;
use crate::testing::TestApp;

const HEALTH: &str = "/api/v1/public/health";
const READY: &str = "/api/v1/public/health/ready";

/// Asks both faces, and holds that `part` alone is ill; answers its remedy.
async fn remedy(test: &TestApp, part: &str) -> String {
    assert_eq!(test.guest().get("/readyz").await.expect(503).text, "not ready\n");
    let body = test.guest().get(READY).await.expect(503).json();
    assert_eq!(body["status"], "unhealthy");
    for (name, component) in body["components"].as_object().unwrap() {
        assert_eq!(component["status"] == "unhealthy", name == part, "{body}");
        assert_eq!(component["remedy"] == "", name != part, "{body}");
    }
    // Ill or not, the process is alive.
    test.guest().get(HEALTH).await.expect(200);
    assert_eq!(test.guest().get("/livez").await.expect(200).text, "ok\n");
    body["components"][part]["remedy"].as_str().unwrap().to_owned()
}

async fn write(test: &TestApp, sql: &'static str) {
    let write = test.app.db.write(move |tx| Ok(tx.execute(sql, params![])?));
    assert!(write.await.unwrap() > 0);
}

#[tokio::test]
async fn a_new_installation_is_well() {
    let test = TestApp::new().await;
    let (guest, now) = (test.guest(), "2026-11-21T00:00:00.000000Z");
    assert_eq!(guest.get(HEALTH).await.expect(200).json(), json!({ "status": "healthy", "timestamp": now }));
    let well = json!({ "status": "healthy", "remedy": "" });
    let unused = json!({ "status": "not_configured", "remedy": "" });
    let components = json!({ "server": well, "database": well, "migrations": well, "disk": well, "redis": unused });
    for _ in 0..2 {
        let ready = guest.get(READY).await.expect(200);
        assert_eq!(ready.json(), json!({ "status": "healthy", "timestamp": now, "components": components }));
        assert_eq!(ready.header("cache-control"), "no-store");
    }
    for address in ["/livez", "/readyz"] {
        assert_eq!(guest.get(address).await.expect(200).text, "ok\n");
    }
    assert_eq!(guest.post(HEALTH, Value::Null).await.expect(405).header("allow"), "GET");
    assert_eq!(guest.get(&format!("{READY}?verbose=1")).await.expect(422).faults(), ["verbose: unknown"]);
}

#[tokio::test]
async fn a_server_on_its_way_down_is_not_ready() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    test.app.drain();
    assert!(remedy(&test, "server").await.contains("send requests elsewhere"));
    // What still arrives is served.
    ada.get("/api/v1/app/users/me").await.expect(200);
}

#[tokio::test]
async fn a_full_disk_is_not_ready() {
    let test = TestApp::with(|config| config.health.min_free_disk = u64::MAX).await;
    let remedy = remedy(&test, "disk").await;
    assert!(remedy.contains(&u64::MAX.to_string()) && remedy.contains("make room"), "{remedy}");
}

#[tokio::test]
async fn another_schema_is_not_ready() {
    let test = TestApp::new().await;
    write(&test, "delete from migrations where position = (select max(position) from migrations)").await;
    assert!(remedy(&test, "migrations").await.contains("omnistack migrate"));
    write(&test, "update migrations set checksum = 'x' where position = 1").await;
    let remedy = remedy(&test, "migrations").await;
    assert!(remedy.contains("the log") && !remedy.contains("0001"), "{remedy}");
}

#[tokio::test]
async fn a_closed_store_is_not_ready() {
    let test = TestApp::new().await;
    test.app.close().await.unwrap();
    let body = test.guest().get(READY).await.expect(503).json();
    for part in ["database", "migrations"] {
        let component = &body["components"][part];
        assert_eq!(component["status"], "unhealthy");
        assert!(component["remedy"].as_str().unwrap().contains("the log"), "{component}");
    }
    test.guest().get("/readyz").await.expect(503);
    test.guest().get("/livez").await.expect(200);
}
