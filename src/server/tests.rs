//! The document: that the committed one is the real one, and that it has everything a front end of the boilerplate needs.

use serde_json::Value;

use super::document;

/// The operations of the boilerplate that exist so far, by the beginning of their path.
const BUILT: [&str; 4] = ["/api/v1/app/users", "/api/v1/admin/users", "/api/v1/app/projects", "/api/v1/public/health"];

#[test]
fn the_committed_document_is_the_real_one() {
    let real = crate::cli::openapi();
    let committed = include_str!("../../assets/openapi.json");
    assert!(real == committed, "run: cargo run -- openapi > assets/openapi.json");
}

#[test]
fn every_operation_introduces_itself() {
    let document = document();
    let mut ids = Vec::new();
    for (path, method, operation) in operations(&document) {
        for key in ["summary", "operationId"] {
            assert!(operation[key].is_string(), "{method} {path} has no {key}");
        }
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{method} {path}");
        assert!(operation["responses"]["422"].is_object(), "{method} {path}");
        ids.push(operation["operationId"].as_str().unwrap_or_default());
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "two operations share an id");
}

#[test]
fn the_boilerplate_contract_is_kept() {
    let contract: Value = serde_json::from_str(include_str!("../../tests/data/boilerplate-contract.json")).unwrap();
    let document = document();
    let mut kept = 0;
    for (name, wanted) in contract["operations"].as_object().unwrap() {
        let (method, path) = name.split_once(' ').unwrap();
        if !BUILT.iter().any(|built| path.starts_with(built)) {
            continue;
        }
        let operation = &document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{name} is missing");
        for parameter in wanted["parameters"].as_object().into_iter().flatten().map(|(name, _)| name) {
            let (place, key) = parameter.split_once(':').unwrap();
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            assert!(parameters.any(|p| p["in"] == place && p["name"] == key), "{name} has no {parameter}");
        }
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        has_fields(&document, body, &wanted["body"]["application/json"], &format!("{name} body"));
        for (status, answer) in wanted["responses"].as_object().unwrap() {
            let found = &operation["responses"][status];
            assert!(found.is_object(), "{name} never answers {status}");
            let schema = &found["content"]["application/json"]["schema"];
            has_fields(&document, schema, &answer["application/json"], &format!("{name} {status}"));
        }
        kept += 1;
    }
    assert_eq!(kept, 14, "the contract has operations that are no longer compared");
}

fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, operations)| {
        operations.as_object().into_iter().flatten().map(move |(method, operation)| (path, method, operation))
    })
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match (schema["$ref"].as_str(), schema["allOf"].get(0)) {
        (Some(reference), _) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        (None, Some(first)) => resolve(document, first),
        (None, None) => schema,
    }
}

/// Every field that the contract names is there, of the same type.
fn has_fields(document: &Value, schema: &Value, wanted: &Value, place: &str) {
    if wanted.is_null() {
        return;
    }
    let schema = resolve(document, schema);
    assert_eq!(schema["type"], wanted["type"], "{place}");
    for (field, wanted) in wanted["fields"].as_object().into_iter().flatten() {
        has_fields(document, &schema["properties"][field], wanted, &format!("{place}.{field}"));
    }
    if wanted["items"].is_object() {
        has_fields(document, &schema["items"], &wanted["items"], &format!("{place}[]"));
    }
}
