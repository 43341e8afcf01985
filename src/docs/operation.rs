//! One operation as a page shows it: what to send, what comes back, and samples of both.

use poem::http::StatusCode;
use serde_json::Value;

use super::credential::{Access, Credential};
use super::document::{about, entries, list, plain, slug, text};
use super::example::Side;
use super::prose::Prose;
use super::sample::{self, Call, Sample, Token};
use super::schema::{DEPTH, Field, Schemas, Word, reference};
use crate::base::error::Code;

/// One method of one path.
pub(super) struct Operation {
    pub(super) anchor: String,
    /// The address of the same operation at `/docs/try`.
    pub(super) tryout: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) summary: String,
    pub(super) about: Prose,
    pub(super) deprecated: bool,
    /// The credentials of which any one will do; none means that anyone may call.
    pub(super) access: Vec<Access>,
    pub(super) parameters: Vec<Parameters>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    pub(super) failures: Vec<Failure>,
    pub(super) samples: Vec<Sample>,
    /// The status and body of a successful answer.
    pub(super) example: Option<(String, Vec<Token>)>,
}

/// The parameters of one place: path, query, header or cookie.
pub(super) struct Parameters {
    pub(super) title: &'static str,
    pub(super) fields: Vec<Field>,
}

/// What a request carries.
pub(super) struct Body {
    pub(super) about: Prose,
    pub(super) required: bool,
    pub(super) forms: Vec<Form>,
}

/// One media type of a body, and what stands in it.
pub(super) struct Form {
    pub(super) media: String,
    pub(super) kind: Vec<Word>,
    pub(super) fields: Vec<Field>,
}

/// An answer that is not an error.
pub(super) struct Answer {
    pub(super) status: String,
    pub(super) reason: &'static str,
    pub(super) about: Prose,
    pub(super) forms: Vec<Form>,
    pub(super) headers: Vec<Field>,
}

/// An error status.
pub(super) struct Failure {
    pub(super) status: String,
    pub(super) reason: &'static str,
    /// What `error.code` says, for the statuses of the table of codes.
    pub(super) code: Option<&'static str>,
    /// What is special about it here; empty where the table of codes says it all.
    pub(super) about: Prose,
    /// The body, where it is not the one shape of errors.
    pub(super) kind: Vec<Word>,
}

/// What reading an operation needs to know of the rest of the document.
pub(super) struct Reader<'a> {
    pub(super) schemas: Schemas<'a>,
    pub(super) credentials: &'a [Credential],
    /// What stands before every path.
    pub(super) prefix: &'a str,
}

impl Reader<'_> {
    /// Reads `operation`, found at `method` and `path` and shown with the operations of `tag`.
    pub(super) fn operation(&self, tag: &str, method: &str, path: &str, operation: &Value) -> Operation {
        let tryout = tryout(tag, method, path, operation);
        let path = format!("{}{path}", self.prefix);
        let is_failure = |(status, _): &(&str, &Value)| status.starts_with(['4', '5']);
        let (failures, answers): (Vec<_>, Vec<_>) = entries(&operation["responses"]).partition(is_failure);
        let summary = text(operation, "summary");
        Operation {
            anchor: slug(&format!("{method} {path}")),
            tryout,
            method: method.to_uppercase(),
            summary: if summary.is_empty() { path.clone() } else { summary.trim_end_matches('.').replace('\n', " ") },
            about: about(operation),
            deprecated: operation["deprecated"] == true,
            access: Access::to(operation),
            parameters: self.parameters(operation),
            body: operation["requestBody"].is_object().then(|| self.body(&operation["requestBody"])),
            failures: failures.into_iter().map(|(status, failure)| self.failure(status, failure)).collect(),
            samples: sample::requests(&self.call(method, &path, operation)),
            example: answers.iter().find_map(|(status, answer)| self.example(status, answer)),
            answers: answers.into_iter().map(|(status, answer)| self.answer(status, answer)).collect(),
            path,
        }
    }

    fn parameters(&self, operation: &Value) -> Vec<Parameters> {
        let places =
            [("path", "Path parameters"), ("query", "Query parameters"), ("header", "Headers"), ("cookie", "Cookies")];
        let all = places.map(|(place, title)| {
            let here = list(&operation["parameters"]).filter(|parameter| parameter["in"] == place);
            Parameters { title, fields: here.map(|parameter| self.outer(text(parameter, "name"), parameter)).collect() }
        });
        all.into_iter().filter(|parameters| !parameters.fields.is_empty()).collect()
    }

    /// A parameter or a header: what is said of it goes before what is said of its schema.
    fn outer(&self, name: &str, holder: &Value) -> Field {
        let field = self.schemas.field("", name, &holder["schema"], holder["required"] == true);
        let own = about(holder);
        Field {
            deprecated: field.deprecated || holder["deprecated"] == true,
            about: if own.is_empty() { field.about } else { own },
            ..field
        }
    }

    fn body(&self, body: &Value) -> Body {
        Body { about: about(body), required: body["required"] == true, forms: self.forms(body) }
    }

    fn forms(&self, holder: &Value) -> Vec<Form> {
        let form = |(media, content): (&str, &Value)| Form {
            media: essence(media),
            kind: self.schemas.kind(&content["schema"]),
            fields: self.schemas.fields(&content["schema"], DEPTH),
        };
        entries(&holder["content"]).map(form).collect()
    }

    fn answer(&self, status: &str, answer: &Value) -> Answer {
        let generic = text(answer, "description") == reason(status);
        Answer {
            status: status.to_owned(),
            reason: reason(status),
            about: if generic { Vec::new() } else { about(answer) },
            forms: self.forms(answer),
            headers: entries(&answer["headers"]).map(|(name, header)| self.outer(name, header)).collect(),
        }
    }

    fn failure(&self, status: &str, failure: &Value) -> Failure {
        let code = Code::ALL.iter().find(|code| code.status().as_str() == status);
        let generic = code.is_some_and(|code| code.title() == text(failure, "description"));
        let bodies = entries(&failure["content"]).map(|(_, content)| &content["schema"]);
        Failure {
            status: status.to_owned(),
            reason: reason(status),
            code: code.map(|code| code.as_str()),
            about: if generic { Vec::new() } else { about(failure) },
            kind: bodies
                .filter(|schema| reference(schema) != Some("Problem"))
                .flat_map(|schema| self.schemas.kind(schema))
                .collect(),
        }
    }

    fn example(&self, status: &str, answer: &Value) -> Option<(String, Vec<Token>)> {
        let (_, content) = entries(&answer["content"]).find(|(media, _)| media.contains("json"))?;
        let example = self.schemas.example(&content["schema"], Side::Response);
        Some((format!("{status} {}", reason(status)), sample::json(&example)))
    }

    fn call(&self, method: &str, path: &str, operation: &Value) -> Call {
        let body = entries(&operation["requestBody"]["content"]).next();
        let required = |place: &'static str| {
            let all = list(&operation["parameters"]).filter(|parameter| parameter["required"] == true);
            all.filter(move |parameter| parameter["in"] == place).map(|parameter| (text(parameter, "name"), parameter))
        };
        let header = |(name, parameter): (&str, &Value)| {
            (name.to_owned(), plain(&self.schemas.example(&parameter["schema"], Side::Request)))
        };
        let answers_json = |(status, answer): (&str, &Value)| {
            status.starts_with('2') && entries(&answer["content"]).any(|(media, _)| media.contains("json"))
        };
        Call {
            method: method.to_uppercase(),
            path: path.to_owned(),
            query: required("query").map(|(name, _)| name.to_owned()).collect(),
            headers: required("header").map(header).collect(),
            credential: Credential::accepted(self.credentials, operation).map(|accepted| accepted.carries.clone()),
            media: body.map(|(media, _)| essence(media)),
            body: body.map(|(_, content)| self.schemas.example(&content["schema"], Side::Request)),
            answers_json: entries(&operation["responses"]).any(answers_json),
        }
    }
}

/// A media type without its parameters.
fn essence(media: &str) -> String {
    media.split(';').next().unwrap_or_default().to_owned()
}

/// Swagger UI's own address of an operation.
fn tryout(tag: &str, method: &str, path: &str, operation: &Value) -> String {
    let own = text(operation, "operationId");
    let id = if own.is_empty() {
        format!("{method}{}", path.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
    } else {
        own.to_owned()
    };
    format!("/docs/try#/{}/{id}", tag.replace(' ', "%20"))
}

fn reason(status: &str) -> &'static str {
    status.parse::<StatusCode>().ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}
