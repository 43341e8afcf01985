//! The reference as the templates read it: the operations of an OpenAPI 3.0 document, grouped by their first tag.

use std::collections::HashSet;

use anyhow::bail;
use serde_json::{Value, json};

use super::credential::Credential;
use super::document::{about, entries, list, plain, slug, text};
use super::operation::{Operation, Reader};
use super::prose::Prose;
use super::schema::{Field, Schemas, Word, choices};

/// In the order in which one meets them: read, create, change, remove.
const METHODS: [&str; 8] = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];

/// The addresses below `/docs/api` that no tag can have.
const TAKEN: [&str; 3] = ["", "errors", "schemas"];

/// Everything the pages show.
pub(super) struct Reference {
    pub(super) version: String,
    pub(super) about: Prose,
    /// Where the samples send their requests unless the reader says otherwise.
    pub(super) base_url: String,
    pub(super) groups: Vec<Group>,
    pub(super) credentials: Vec<Credential>,
    pub(super) schemas: Vec<Schema>,
}

/// The operations that share a tag: one page.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) about: Prose,
    pub(super) operations: Vec<Operation>,
}

/// A named schema.
pub(super) struct Schema {
    pub(super) name: String,
    pub(super) about: Prose,
    /// What it is, where it is not an object with fields.
    pub(super) kind: Vec<Word>,
    pub(super) values: Vec<String>,
    pub(super) fields: Vec<Field>,
}

impl Reference {
    /// Reads `document`, which poem-openapi wrote.
    ///
    /// # Errors
    /// If it holds no paths, or if two of its tags would need the same page.
    pub(super) fn read(document: &Value) -> anyhow::Result<Self> {
        if !document["paths"].is_object() {
            bail!("the OpenAPI document has no `paths`: pass the whole of it");
        }
        let (base_url, prefix) = server(text(&document["servers"][0], "url"));
        let credentials = Credential::all(&document["components"]["securitySchemes"]);
        let schemas = Schemas(document["components"]["schemas"].as_object());
        let reader = Reader { schemas, credentials: &credentials, prefix };
        Ok(Self {
            version: text(&document["info"], "version").to_owned(),
            about: about(&document["info"]),
            base_url,
            groups: groups(document, &reader)?,
            schemas: entries(&document["components"]["schemas"])
                .map(|(name, schema)| Schema::of(name, schema, &reader.schemas))
                .collect(),
            credentials,
        })
    }
}

/// Every operation, below its first tag. Groups stand in the order of the document's tags, those it does not list last.
fn groups(document: &Value, reader: &Reader<'_>) -> anyhow::Result<Vec<Group>> {
    let mut groups: Vec<Group> = list(&document["tags"]).map(Group::of).collect();
    for (path, methods) in entries(&document["paths"]) {
        for method in METHODS {
            let Some(operation) = methods.get(method) else { continue };
            let tag = operation["tags"][0].as_str().unwrap_or("Other");
            let operation = reader.operation(tag, method, path, operation);
            match groups.iter_mut().find(|group| group.name == tag) {
                Some(group) => group.operations.push(operation),
                None => groups.push(Group { operations: vec![operation], ..Group::of(&json!({ "name": tag })) }),
            }
        }
    }
    groups.retain(|group| !group.operations.is_empty());
    let mut slugs = HashSet::from(TAKEN.map(str::to_owned));
    if let Some(Group { name, slug, .. }) = groups.iter().find(|group| !slugs.insert(group.slug.clone())) {
        bail!("the tag `{name}` would need the page /docs/api/{slug}, which is taken: rename the tag");
    }
    Ok(groups)
}

impl Group {
    fn of(tag: &Value) -> Self {
        let name = text(tag, "name").to_owned();
        Self { slug: slug(&name), name, about: about(tag), operations: Vec::new() }
    }
}

impl Schema {
    fn of(name: &str, schema: &Value, schemas: &Schemas<'_>) -> Self {
        let whole = schemas.whole(schema);
        let union = choices(&whole).is_some();
        let whole = Value::Object(whole);
        let fields = schemas.fields(&whole, 1);
        Self {
            name: name.to_owned(),
            about: about(&whole),
            kind: if fields.is_empty() || union { schemas.kind(&whole) } else { Vec::new() },
            values: list(&whole["enum"]).map(plain).collect(),
            fields,
        }
    }
}

/// The origin and the path of the server that the document names; the origin is this machine where it names none.
fn server(url: &str) -> (String, &str) {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let path = if host == 0 { 0 } else { url[host..].find('/').map_or(url.len(), |slash| host + slash) };
    let (origin, path) = url.split_at(path);
    let origin = if origin.is_empty() { "http://127.0.0.1:8080" } else { origin };
    (origin.to_owned(), path.trim_end_matches('/'))
}
