//! An example of a schema: the document's own where it gives one, else one made from the types and the names.

use serde_json::{Map, Value, json};

use super::schema::{DEPTH, Schemas, choices, properties, reference};

/// Which side of the wire an example is for: a request names only what must be there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Side {
    Request,
    Response,
}

impl Schemas<'_> {
    /// An example of `schema`.
    pub(super) fn example(&self, schema: &Value, side: Side) -> Value {
        self.example_of("", schema, side, &mut Vec::new())
    }

    fn example_of(&self, called: &str, schema: &Value, side: Side, inside: &mut Vec<String>) -> Value {
        let whole = self.whole(schema);
        let first_choice = whole.get("enum").and_then(|values| values.get(0));
        let given = [whole.get("example"), whole.get("default"), first_choice];
        if let Some(value) = given.into_iter().flatten().find(|value| !value.is_null()) {
            return value.clone();
        }
        if let Some(items) = whole.get("items") {
            return json!([self.example_of(called, items, side, inside)]);
        }
        if let Some(choice) = choices(&whole).and_then(|choices| choices.first()) {
            return self.example_of(called, choice, side, inside);
        }
        match whole.get("type").and_then(Value::as_str) {
            Some("integer" | "number") => number(&whole),
            Some("boolean") => json!(true),
            Some("string") => json!(text(called, whole.get("format").and_then(Value::as_str))),
            _ => {
                let name = reference(schema).unwrap_or_default().to_owned();
                if inside.len() > DEPTH || (!name.is_empty() && inside.contains(&name)) {
                    return json!({});
                }
                inside.push(name);
                let object = self.object(&whole, side, inside);
                inside.pop();
                object
            }
        }
    }

    fn object(&self, whole: &Map<String, Value>, side: Side, inside: &mut Vec<String>) -> Value {
        let foreign = if side == Side::Request { "readOnly" } else { "writeOnly" };
        let mut wanted = properties(whole);
        wanted.retain(|(_, property, _)| property[foreign] != true);
        if side == Side::Request {
            // Where nothing is required, as in a patch, the first field stands for the others.
            let required = wanted.iter().filter(|(.., required)| *required).count();
            wanted.truncate(required.max(1));
        }
        let example = |(name, property, _): (&str, &Value, bool)| {
            (name.to_owned(), self.example_of(name, property, side, inside))
        };
        Value::Object(wanted.into_iter().map(example).collect())
    }
}

fn number(whole: &Map<String, Value>) -> Value {
    let above = whole.get("exclusiveMinimum") == Some(&Value::Bool(true));
    let least = whole.get("minimum").and_then(Value::as_f64);
    json!(least.map_or(1, |least| least.ceil() as i64 + i64::from(above)))
}

/// A text that the field called `called` could hold.
fn text(called: &str, format: Option<&str>) -> &'static str {
    match (format, called) {
        (Some("uuid"), _) | (_, "id") => "0199a3f2-6c41-7d0e-9b52-3f8e1c7a4d60",
        (Some("date-time"), _) | (_, "timestamp") => "2026-03-14T09:26:53Z",
        (Some("date"), _) => "2026-03-14",
        (Some("email"), _) | (_, "email") => "ada@example.com",
        (Some("uri" | "url"), _) => "https://example.com",
        (Some("password"), _) | (_, "password" | "current_password" | "new_password") => "correct horse battery staple",
        (_, "name" | "title") => "Apollo",
        (_, "description") => "The first of many.",
        (_, name) if name.ends_with("_id") => text("id", None),
        (_, name) if name.ends_with("_at") => text("timestamp", None),
        (_, name) if name.ends_with("url") => text("", Some("url")),
        _ => "…",
    }
}
