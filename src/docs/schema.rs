//! Reading the schemas of the document: what a field is called, what it holds and what limits it.

use serde_json::{Map, Value};

use super::document::{list, plain};
use super::prose::{self, Prose};

/// How many levels of nested objects an operation writes out before a link to the schema has to do.
pub(super) const DEPTH: usize = 3;

/// The named schemas of a document.
pub(super) struct Schemas<'a>(pub(super) Option<&'a Map<String, Value>>);

/// One line of a list of fields, parameters or headers.
pub(super) struct Field {
    /// Where the field stands, such as `items[].`; empty at the top.
    pub(super) parent: String,
    pub(super) name: String,
    pub(super) kind: Vec<Word>,
    pub(super) required: bool,
    pub(super) deprecated: bool,
    pub(super) limits: Vec<String>,
    /// The regular expression it must match.
    pub(super) pattern: Option<String>,
    pub(super) values: Vec<String>,
    pub(super) default: Option<String>,
    pub(super) about: Prose,
}

/// A word of a type's name; a linked one is the name of a schema.
#[derive(Debug, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) linked: bool,
}

impl Schemas<'_> {
    /// The fields of `schema`, required ones first, those of nested objects below their parent and `depth` levels deep.
    pub(super) fn fields(&self, schema: &Value, depth: usize) -> Vec<Field> {
        let mut fields = Vec::new();
        self.collect(schema, "", depth, &mut Vec::new(), &mut fields);
        fields
    }

    fn collect(&self, schema: &Value, at: &str, depth: usize, inside: &mut Vec<String>, fields: &mut Vec<Field>) {
        let whole = self.whole(schema);
        if let Some(items) = whole.get("items") {
            return self.collect(items, &format!("{at}[]"), depth, inside, fields);
        }
        if let Some(values) = whole.get("additionalProperties").filter(|value| value.is_object()) {
            return self.collect(values, &format!("{at}.*"), depth, inside, fields);
        }
        let name = reference(schema).unwrap_or_default().to_owned();
        if inside.len() == depth || (!name.is_empty() && inside.contains(&name)) {
            return;
        }
        inside.push(name);
        let parent = if at.is_empty() { String::new() } else { format!("{at}.") };
        for (name, property, required) in properties(&whole) {
            fields.push(self.field(&parent, name, property, required));
            self.collect(property, &format!("{parent}{name}"), depth, inside, fields);
        }
        inside.pop();
    }

    /// One field called `name` that holds `schema`.
    pub(super) fn field(&self, parent: &str, name: &str, schema: &Value, required: bool) -> Field {
        let whole = self.whole(schema);
        // The limits of a list's entries are told with the list: they have no line of their own.
        let entries = whole.get("items").map(|items| self.whole(items)).unwrap_or_default();
        let mut limits = limits(&whole);
        limits.extend(self::limits(&entries).into_iter().map(|limit| format!("each {limit}")));
        let values = whole.get("enum").or(entries.get("enum")).and_then(Value::as_array);
        Field {
            parent: parent.to_owned(),
            name: name.to_owned(),
            kind: self.kind(schema),
            required,
            deprecated: whole.get("deprecated") == Some(&Value::Bool(true)),
            limits,
            pattern: whole.get("pattern").or(entries.get("pattern")).map(plain),
            values: values.into_iter().flatten().map(plain).collect(),
            default: whole.get("default").filter(|value| !value.is_null()).map(plain),
            about: prose::parse(whole.get("description").and_then(Value::as_str).unwrap_or_default()),
        }
    }

    /// The name of a type, as words of which those that have an entry of their own are links.
    pub(super) fn kind(&self, schema: &Value) -> Vec<Word> {
        let whole = self.whole(schema);
        let mut words = if let Some(name) = reference(schema) {
            vec![Word { text: name.to_owned(), linked: true }]
        } else if let Some(items) = whole.get("items") {
            self.after("array of ", items)
        } else if let Some(values) = whole.get("additionalProperties").filter(|value| value.is_object()) {
            self.after("map of ", values)
        } else if let Some(choices) = choices(&whole) {
            let mut words = Vec::new();
            for (index, choice) in choices.iter().enumerate() {
                words.extend(self.after(if index == 0 { "" } else { " or " }, choice));
            }
            words
        } else {
            vec![Word { text: simple_kind(&whole), linked: false }]
        };
        if whole.get("nullable") == Some(&Value::Bool(true)) {
            words.push(Word { text: " or null".to_owned(), linked: false });
        }
        words
    }

    fn after(&self, text: &str, schema: &Value) -> Vec<Word> {
        let mut words = vec![Word { text: text.to_owned(), linked: false }];
        words.extend(self.kind(schema));
        words
    }

    /// `schema` with its reference and its `allOf` parts folded into one object, the outer over the inner.
    pub(super) fn whole(&self, schema: &Value) -> Map<String, Value> {
        let mut whole = Map::new();
        let named = schema["$ref"].as_str().and_then(|_| self.0?.get(reference(schema)?));
        for part in named.into_iter().chain(list(&schema["allOf"])) {
            overlay(&mut whole, self.whole(part));
        }
        let mut own = schema.as_object().cloned().unwrap_or_default();
        own.retain(|key, _| key != "$ref" && key != "allOf");
        overlay(&mut whole, own);
        whole
    }
}

/// The name behind a `$ref`, also where `allOf` wraps one reference to add a description to it.
pub(super) fn reference(schema: &Value) -> Option<&str> {
    let target = schema["$ref"].as_str().or(schema["allOf"][0]["$ref"].as_str())?;
    target.rsplit('/').next()
}

/// The alternatives of a union.
pub(super) fn choices(whole: &Map<String, Value>) -> Option<&Vec<Value>> {
    whole.get("oneOf").or(whole.get("anyOf")).and_then(Value::as_array)
}

/// The properties of an object with whether each is required, those first.
pub(super) fn properties(whole: &Map<String, Value>) -> Vec<(&str, &Value, bool)> {
    let required: Vec<_> =
        whole.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = whole.get("properties").and_then(Value::as_object).into_iter().flatten();
    let mut properties: Vec<_> =
        properties.map(|(name, property)| (name.as_str(), property, required.contains(&name.as_str()))).collect();
    properties.sort_by_key(|(.., required)| !required);
    properties
}

fn overlay(whole: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (whole.get_mut(&key), value) {
            (Some(Value::Object(under)), Value::Object(over)) => under.extend(over),
            (Some(Value::Array(under)), Value::Array(over)) if key == "required" => under.extend(over),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

fn simple_kind(whole: &Map<String, Value>) -> String {
    let of = |key: &str| whole.get(key).and_then(Value::as_str);
    match (of("type"), of("format")) {
        (None, _) => "any value".to_owned(),
        // The width of a number is Rust's affair; its limits are told beside it.
        (Some(kind @ ("integer" | "number")), _) | (Some(kind), None) => kind.to_owned(),
        (Some(kind), Some(format)) => format!("{kind} ({format})"),
    }
}

fn limits(whole: &Map<String, Value>) -> Vec<String> {
    let number = |key: &str| whole.get(key).and_then(Value::as_f64);
    let holds = |key: &str| whole.get(key) == Some(&Value::Bool(true));
    let limits = [
        range(number("minLength"), number("maxLength"), "characters"),
        range(number("minItems"), number("maxItems"), "entries"),
        range(number("minProperties"), number("maxProperties"), "keys"),
        match (number("minimum"), number("maximum"), holds("exclusiveMinimum"), holds("exclusiveMaximum")) {
            (low, high, false, false) => range(low, high, ""),
            (low, high, above, below) => {
                let low = low.map(|low| format!("{} {low}", if above { "above" } else { "at least" }));
                let high = high.map(|high| format!("{} {high}", if below { "below" } else { "at most" }));
                Some(low.into_iter().chain(high).collect::<Vec<_>>().join(", "))
            }
        },
        number("multipleOf").map(|step| format!("a multiple of {step}")),
        holds("uniqueItems").then(|| "no entry twice".to_owned()),
        holds("readOnly").then(|| "read only".to_owned()),
        holds("writeOnly").then(|| "write only".to_owned()),
    ];
    limits.into_iter().flatten().collect()
}

fn range(low: Option<f64>, high: Option<f64>, unit: &str) -> Option<String> {
    let text = match (low, high) {
        (Some(low), Some(high)) if low == high => format!("exactly {low} {unit}"),
        (Some(low), Some(high)) => format!("{low} to {high} {unit}"),
        (Some(low), None) => format!("at least {low} {unit}"),
        (None, Some(high)) => format!("at most {high} {unit}"),
        (None, None) => return None,
    };
    Some(text.trim_end().to_owned())
}
