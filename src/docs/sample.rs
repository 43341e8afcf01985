//! Samples: a request as one would type it for curl or in TypeScript, and what comes back.

use serde_json::Value;

/// A request in one language.
pub(super) struct Sample {
    pub(super) language: &'static str,
    pub(super) id: &'static str,
    pub(super) tokens: Vec<Token>,
}

/// A stretch of code with the class it is coloured by, empty for plain text.
#[derive(Debug, PartialEq)]
pub(super) struct Token {
    pub(super) class: &'static str,
    pub(super) text: String,
}

/// What a sample sends: no more than it must. Path and query parameters become variables, as no invented id would be
/// found.
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<String>,
    pub(super) headers: Vec<(String, String)>,
    /// A header line, or `?name=value` for a query parameter.
    pub(super) credential: Option<String>,
    pub(super) media: Option<String>,
    pub(super) body: Option<Value>,
    pub(super) answers_json: bool,
}

/// The words of TypeScript and the shell that stand out.
const KEYWORDS: [&str; 7] = ["await", "const", "curl", "fetch", "if", "new", "throw"];

/// The call in every language.
pub(super) fn requests(call: &Call) -> Vec<Sample> {
    vec![
        Sample { language: "curl", id: "curl", tokens: tokens(&curl(call)) },
        Sample { language: "TypeScript", id: "typescript", tokens: tokens(&typescript(call)) },
    ]
}

/// A value as indented JSON.
pub(super) fn json(value: &Value) -> Vec<Token> {
    tokens(&format!("{value:#}"))
}

fn curl(call: &Call) -> String {
    let path = address(call).replace('{', "$").replace('}', "");
    let mut lines = vec![format!("curl \"$BASE_URL{path}\"")];
    if !(call.method == "GET" || call.method == "POST" && call.body.is_some()) {
        lines.push(format!("-X {}", call.method));
    }
    lines.extend(headers(call).into_iter().map(|(name, value)| format!("-H \"{name}: {value}\"")));
    match (&call.body, call.media.as_deref()) {
        (Some(body), Some("multipart/form-data")) => {
            let fields = body.as_object().into_iter().flatten();
            lines.extend(fields.map(|(name, _)| format!("-F \"{name}=@$FILE\"")));
        }
        (Some(body), Some(media)) if media.contains("json") => {
            let body = format!("{body:#}").replace('\'', "'\\''").replace('\n', "\n  ");
            lines.push(format!("-d '{body}'"));
        }
        (Some(_), _) => lines.push("--data-binary \"@$FILE\"".to_owned()),
        _ => {}
    }
    lines.join(" \\\n  ")
}

fn typescript(call: &Call) -> String {
    let path = address(call).replace('{', "${");
    let mut options = String::new();
    if call.method != "GET" {
        options += &format!("  method: \"{}\",\n", call.method);
    }
    let multipart = call.media.as_deref() == Some("multipart/form-data");
    let headers: String = headers(call).iter().map(|(name, value)| header_line(name, value)).collect();
    if !headers.is_empty() {
        options += &format!("  headers: {{\n{headers}  }},\n");
    }
    match (&call.body, call.media.as_deref()) {
        (Some(body), Some(media)) if media.contains("json") => {
            let body = format!("{body:#}").replace('\n', "\n  ");
            options += &format!("  body: JSON.stringify({}),\n", bare_keys(&body));
        }
        (Some(_), _) => options += if multipart { "  body: form,\n" } else { "  body: file,\n" },
        _ => {}
    }
    let options = if options.is_empty() { String::new() } else { format!(", {{\n{options}}}") };
    let mut code = format!("const response = await fetch(`${{baseUrl}}{path}`{options});\n");
    code += "if (!response.ok) throw new Error(await response.text());";
    if call.answers_json {
        code += "\nconst answer = await response.json();";
    }
    code
}

/// The headers of a call, the credential first. A form's boundary is written by whoever sends it.
fn headers(call: &Call) -> Vec<(String, String)> {
    let credential = call.credential.iter().filter_map(|line| line.split_once(": "));
    let mut headers: Vec<_> = credential.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if let Some(media) = call.media.as_ref().filter(|media| *media != "multipart/form-data") {
        headers.push(("Content-Type".to_owned(), media.clone()));
    }
    headers.extend(call.headers.iter().cloned());
    headers
}

/// The path and query of a call, its variables in braces.
fn address(call: &Call) -> String {
    let key = call.credential.iter().filter_map(|line| line.strip_prefix('?')).map(str::to_owned);
    let pairs: Vec<_> = call.query.iter().map(|name| format!("{name}={{{name}}}")).chain(key).collect();
    if pairs.is_empty() { call.path.clone() } else { format!("{}?{}", call.path, pairs.join("&")) }
}

/// `$TOKEN` of the shell is `token` here.
fn header_line(name: &str, value: &str) -> String {
    let name = if name.chars().all(char::is_alphanumeric) { name.to_owned() } else { format!("\"{name}\"") };
    match value.split_once('$') {
        Some((before, variable)) => {
            let variable = variable.to_lowercase().replace("api_key", "apiKey");
            format!("    {name}: `{before}${{{variable}}}`,\n")
        }
        None => format!("    {name}: \"{value}\",\n"),
    }
}

/// Indented JSON with its keys as TypeScript writes them.
fn bare_keys(json: &str) -> String {
    let bare = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let (key, value) = line[indent..].strip_prefix('"')?.split_once("\": ")?;
        let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain.then(|| format!("{}{key}: {value}", &line[..indent]))
    };
    json.lines().map(|line| bare(line).unwrap_or_else(|| line.to_owned())).collect::<Vec<_>>().join("\n")
}

/// Cuts code where its colour changes: strings (`s`), keys (`k`), numbers (`n`) and words (`w`).
pub(super) fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '`' => string_length(rest, first),
            c if c.is_ascii_alphanumeric() => {
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (text, after) = rest.split_at(length);
        let class = match first {
            '"' if after.starts_with(':') => "k",
            '"' | '`' => "s",
            c if c.is_ascii_digit() => "n",
            _ if KEYWORDS.contains(&text) => "w",
            _ => "",
        };
        match tokens.last_mut() {
            Some(last) if last.class == class => last.text.push_str(text),
            _ => tokens.push(Token { class, text: text.to_owned() }),
        }
        rest = after;
    }
    tokens
}

/// How many bytes the string at the start of `text` takes, its quotes included.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return index + 1,
            _ => {}
        }
    }
    text.len()
}
