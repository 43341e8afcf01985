//! Holds requests against the published document: what is not in it is refused, with every fault named.
//!
//! One description, three uses: the document that clients read, the check of the query, and the list of faults of a body.
//! Unknown parameters are refused rather than ignored, because an ignored filter is a wrong answer.

use std::collections::HashMap;
use std::sync::Arc;

use poem::http::Method;
use serde_json::{Map, Value};

use super::error::{Error, Faults, Result};

/// Every operation of the document, by path and method.
pub struct Contract {
    routes: matchit::Router<HashMap<Method, Arc<Operation>>>,
}

/// One operation: its path template, and what it takes.
pub struct Operation {
    /// The path as in the document, such as `/api/v1/app/projects/{project_id}`.
    pub template: String,
    query: HashMap<String, Value>,
    required: Vec<String>,
    body: Option<Value>,
    schemas: Arc<Map<String, Value>>,
}

impl Contract {
    /// Reads an OpenAPI document.
    ///
    /// # Errors
    /// If two of its paths are the same.
    pub fn new(document: &Value) -> anyhow::Result<Self> {
        let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
        let schemas = Arc::new(schemas);
        let mut routes = matchit::Router::new();
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            let mut methods = HashMap::new();
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
                methods.insert(method, Arc::new(Operation::new(path, operation, schemas.clone())));
            }
            routes.insert(path.clone(), methods)?;
        }
        Ok(Self { routes })
    }

    /// The operation that answers, if the document has one.
    pub fn find(&self, method: &Method, path: &str) -> Option<Arc<Operation>> {
        self.routes.at(path).ok()?.value.get(method).cloned()
    }

    /// The methods of a path: what `Allow` says.
    pub fn methods(&self, path: &str) -> Vec<Method> {
        self.routes.at(path).map(|found| found.value.keys().cloned().collect()).unwrap_or_default()
    }
}

impl Operation {
    fn new(path: &str, operation: &Value, schemas: Arc<Map<String, Value>>) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let (mut query, mut required) = (HashMap::new(), Vec::new());
        for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            if parameter["required"] == true {
                required.push(name.clone());
            }
            query.insert(name, parameter["schema"].clone());
        }
        let body = operation["requestBody"]["content"]["application/json"]["schema"].clone();
        Self { template: path.into(), query, required, body: (!body.is_null()).then_some(body), schemas }
    }

    /// Holds a query string against the parameters.
    ///
    /// # Errors
    /// 400 if it is not valid; 422 with every unknown, repeated, missing or wrong parameter.
    pub fn check_query(&self, query: &str) -> Result<()> {
        let mut faults = Faults::default();
        let mut seen: Vec<String> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Error::bad_request("The query string is not valid UTF-8."));
            };
            let Some(schema) = self.query.get(&name) else {
                let known: Vec<&str> = self.query.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                faults.add(&name, "unknown", format!("There is no such parameter here; there are: {known}."));
                continue;
            };
            if seen.contains(&name) {
                faults.add(&name, "repeated", "Send this parameter once.");
            } else {
                self.walk(schema, &typed(self.resolve(schema), &value), &name, &mut faults);
            }
            seen.push(name);
        }
        for name in self.required.iter().filter(|name| !seen.contains(name)) {
            faults.add(name, "required", "This parameter is required.");
        }
        faults.check()
    }

    /// Every fault of a body.
    pub fn body_faults(&self, body: &Value) -> Faults {
        let mut faults = Faults::default();
        if let Some(schema) = &self.body {
            self.walk(schema, body, "", &mut faults);
        }
        faults
    }

    /// Follows `$ref`, and the `allOf` that carries one beside a description.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.schemas.get(name).unwrap_or(&Value::Null);
        }
        match schema["allOf"].get(0) {
            Some(first) => self.resolve(first),
            None => schema,
        }
    }

    fn walk(&self, schema: &Value, value: &Value, field: &str, faults: &mut Faults) {
        let nullable = schema["nullable"] == true;
        let schema = self.resolve(schema);
        if value.is_null() && (nullable || schema["nullable"] == true) {
            return;
        }
        match (schema["type"].as_str().unwrap_or_default(), value) {
            ("object", Value::Object(object)) => self.walk_object(schema, object, field, faults),
            ("array", Value::Array(items)) => {
                length(schema, "Items", "items", items.len(), field, faults);
                for (index, item) in items.iter().enumerate() {
                    self.walk(&schema["items"], item, &child(field, &index.to_string()), faults);
                }
            }
            ("string", Value::String(text)) => walk_string(schema, text, field, faults),
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                range(schema, number.as_f64().unwrap_or_default(), field, faults);
            }
            ("number", Value::Number(number)) => range(schema, number.as_f64().unwrap_or_default(), field, faults),
            ("boolean", Value::Bool(_)) | ("", _) => {}
            (wanted, Value::Null) => {
                faults.add(field, "type", format!("Null is not allowed; send {}.", article(wanted)))
            }
            (wanted, _) => faults.add(field, "type", format!("Send {} here.", article(wanted))),
        }
    }

    fn walk_object(&self, schema: &Value, object: &Map<String, Value>, field: &str, faults: &mut Faults) {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                faults.add(&child(field, name), "required", "This field is required.");
            }
        }
        for (name, value) in object {
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => {
                    faults.add(&child(field, name), "unknown", "There is no such field here.");
                }
                (Value::Null, Value::Null | Value::Bool(_)) => {}
                (Value::Null, additional) => self.walk(additional, value, &child(field, name), faults),
                (property, _) => self.walk(property, value, &child(field, name), faults),
            }
        }
    }
}

fn walk_string(schema: &Value, text: &str, field: &str, faults: &mut Faults) {
    length(schema, "Length", "characters", text.chars().count(), field, faults);
    if let Some(choices) = schema["enum"].as_array()
        && !choices.iter().any(|choice| choice == text)
    {
        let names: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        faults.add(field, "choice", format!("Choose one of: {}.", names.join(", ")));
    }
}

fn length(schema: &Value, of: &str, unit: &str, found: usize, field: &str, faults: &mut Faults) {
    let bound = |which: &str| schema[format!("{which}{of}")].as_u64();
    if let Some(min) = bound("min").filter(|min| (found as u64) < *min) {
        faults.add(field, "length", format!("Send at least {min} {unit}."));
    }
    if let Some(max) = bound("max").filter(|max| (found as u64) > *max) {
        faults.add(field, "length", format!("Send at most {max} {unit}; there are {found}."));
    }
}

fn range(schema: &Value, found: f64, field: &str, faults: &mut Faults) {
    if let Some(min) = schema["minimum"].as_f64().filter(|min| found < *min) {
        faults.add(field, "range", format!("Send {min} or more."));
    }
    if let Some(max) = schema["maximum"].as_f64().filter(|max| found > *max) {
        faults.add(field, "range", format!("Send {max} or less."));
    }
}

fn child(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}/{name}") }
}

fn article(kind: &str) -> &'static str {
    match kind {
        "object" => "an object",
        "array" => "an array",
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "a value",
    }
}

/// A parameter's text as the JSON value that its schema speaks of; what does not fit stays text, and so becomes a fault.
fn typed(schema: &Value, text: &str) -> Value {
    let parsed = match schema["type"].as_str() {
        Some("integer") => text.parse::<i64>().ok().map(Value::from),
        Some("number") => text.parse::<f64>().ok().map(Value::from),
        Some("boolean") => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

/// `application/x-www-form-urlencoded`; `None` if it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// One operation with every kind of schema.
    fn operation() -> Arc<Operation> {
        let item = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 3 },
                "next": { "$ref": "#/components/schemas/Item" },
            },
            "additionalProperties": false,
        });
        let body = json!({
            "type": "object",
            "required": ["items"],
            "properties": {
                "items": { "type": "array", "minItems": 1, "maxItems": 2, "items": { "$ref": "#/components/schemas/Item" } },
                "kind": { "nullable": true, "allOf": [{ "$ref": "#/components/schemas/Kind" }, { "description": "Which." }] },
                "share": { "type": "number", "minimum": 0, "maximum": 1 },
                "count": { "type": "integer" },
                "any": {},
                "labels": { "type": "object", "additionalProperties": { "type": "boolean" } },
            },
            "additionalProperties": false,
        });
        let parameter = |name: &str, place: &str, required: bool, schema: Value| json!({ "name": name, "in": place, "required": required, "schema": schema });
        let operation = json!({
            "parameters": [
                parameter("id", "path", true, json!({ "type": "string" })),
                parameter("X-Key", "header", true, json!({ "type": "string" })),
                parameter("limit", "query", true, json!({ "type": "integer", "minimum": 1, "maximum": 9 })),
                parameter("kind", "query", false, json!({ "$ref": "#/components/schemas/Kind" })),
                parameter("on", "query", false, json!({ "type": "boolean" })),
                parameter("share", "query", false, json!({ "type": "number", "maximum": 1 })),
                parameter("q", "query", false, json!({ "type": "string", "maxLength": 3 })),
            ],
            "requestBody": { "content": { "application/json": { "schema": body } } },
        });
        let kind = json!({ "type": "string", "enum": ["small", "large"] });
        let contract = Contract::new(&json!({
            "paths": { "/things/{id}": { "post": operation, "get": {} }, "/things": { "get": {} } },
            "components": { "schemas": { "Item": item, "Kind": kind } },
        }));
        let contract = contract.unwrap();
        assert!(contract.find(&Method::DELETE, "/things/7").is_none() && contract.find(&Method::GET, "/").is_none());
        let mut methods = contract.methods("/things/7");
        methods.sort_by_key(ToString::to_string);
        assert_eq!((methods, contract.methods("/nowhere")), (vec![Method::GET, Method::POST], vec![]));
        let found = contract.find(&Method::POST, "/things/7").unwrap();
        assert_eq!(found.template, "/things/{id}");
        found
    }

    fn told(faults: &Faults) -> String {
        let mut told: Vec<_> = faults.list().iter().map(|fault| format!("{}: {}", fault.field, fault.code)).collect();
        told.sort();
        told.join(", ")
    }

    #[test]
    fn every_fault_of_a_body_is_found() {
        let operation = operation();
        let item = json!({ "name": "a" });
        let deep = json!({ "name": "äöü", "next": { "name": "b", "next": item } });
        let deep_faults = json!([{ "name": "", "x/y": 1 }, { "name": "four", "next": { "name": 7 } }]);
        let outside = json!({ "items": [item], "kind": "Small", "share": 1.5, "count": 1.5, "labels": { "x": "y" } });
        for (body, faults) in [
            (json!({ "items": [deep], "kind": null, "share": 1, "count": -3 }), ""),
            (json!({ "items": [item], "any": [null, 1], "labels": { "x": true }, "kind": "large" }), ""),
            (json!(null), ": type"),
            (json!("x"), ": type"),
            (json!({}), "items: required"),
            (json!({ "items": null, "Items": [] }), "Items: unknown, items: type"),
            (json!({ "items": [] }), "items: length"),
            (json!({ "items": [item, {}, 3] }), "items/1/name: required, items/2: type, items: length"),
            (
                json!({ "items": deep_faults }),
                "items/0/name: length, items/0/x/y: unknown, items/1/name: length, items/1/next/name: type",
            ),
            (outside, "count: type, kind: choice, labels/x: type, share: range"),
            (
                json!({ "items": [item], "kind": 1, "share": "1", "count": "1", "labels": [] }),
                "count: type, kind: type, labels: type, share: type",
            ),
        ] {
            assert_eq!(told(&operation.body_faults(&body)), faults, "{body}");
        }
    }

    #[test]
    fn every_fault_of_a_query_is_found() {
        let operation = operation();
        for (query, faults) in [
            ("limit=1", ""),
            ("&limit=%39&&on=true&share=0.5&kind=small&q=%C3%A4+%2B", ""),
            ("limit=9&q", ""),
            ("", "limit: required"),
            ("limit", "limit: type"),
            ("limit=1&limit=1", "limit: repeated"),
            ("limit=0&share=2&kind=medium&q=four", "kind: choice, limit: range, q: length, share: range"),
            ("limit=1.0&on=1&id=7&X-Key=k", "X-Key: unknown, id: unknown, limit: type, on: type"),
            ("limit=99999999999999999999", "limit: type"),
        ] {
            let found =
                operation.check_query(query).map_or_else(|error| told(&error.faults().unwrap()), |()| "".into());
            assert_eq!(found, faults, "{query}");
        }
        let broken = operation.check_query("limit=%ff").unwrap_err();
        assert_eq!(broken.code(), super::super::error::Code::BadRequest);
    }
}
