//! The rules of the house that a machine can hold. A rule that cannot be held here is held by whoever reads the change.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders of `src/`, in the order of `lib.rs`: imports only point up.
const ORDER: [&str; 15] = [
    "base",
    "app",
    "shell",
    "audit",
    "idempotency",
    "sessions",
    "users",
    "auth",
    "projects",
    "health",
    "console",
    "docs",
    "server",
    "cli",
    "testing",
];

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The part of the house that a file belongs to.
    fn part(&self) -> &str {
        let first = self.path.iter().next().and_then(|part| part.to_str()).unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        matches!(name, "tests.rs" | "testing.rs" | "tidy.rs")
    }

    /// The code without its tests at the end.
    fn code(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() { files(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    files(&root("src"), &mut found);
    let source = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root("src")).unwrap().to_owned(),
    };
    found.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")).map(source).collect()
}

#[test]
fn every_file_introduces_itself_and_stays_small() {
    for source in sources() {
        let path = source.path.display();
        assert!(source.text.starts_with("//! "), "{path} does not open with a //! line");
        let lines = source.text.lines().count();
        assert!(lines <= 480, "{path} has {lines} lines: split it along a noun");
    }
}

#[test]
fn imports_only_point_up() {
    let place = |part: &str| ORDER.iter().position(|name| *name == part);
    for source in sources() {
        let Some(mine) = place(source.part()) else { continue };
        if source.is_test() {
            continue;
        }
        for (number, line) in source.code().lines().enumerate() {
            for target in line.split("crate::").skip(1) {
                let name: String = target.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let allowed = place(&name).is_none_or(|theirs| theirs <= mine);
                assert!(allowed, "{}:{} imports {name}, which stands below", source.path.display(), number + 1);
            }
        }
    }
}

#[test]
fn sql_stands_in_stores_alone() {
    let statements = ["select ", "insert into ", "delete from ", "update "];
    for source in sources().iter().filter(|source| !source.is_test()) {
        if source.path.ends_with("store.rs") || source.path.starts_with("base/db") {
            continue;
        }
        for (number, line) in source.code().lines().enumerate() {
            let quoted = line.split('"').skip(1).step_by(2);
            for text in quoted {
                let is_sql = statements.iter().any(|start| text.starts_with(start)) && text.contains(" where ");
                assert!(!is_sql, "{}:{} holds SQL", source.path.display(), number + 1);
            }
        }
    }
}

#[test]
fn faces_and_stores_are_private() {
    for source in sources().iter().filter(|source| source.path.ends_with("mod.rs")) {
        for name in ["store", "api", "admin", "jobs"] {
            let public = [format!("pub mod {name};"), format!("pub(crate) mod {name};")];
            assert!(
                !public.iter().any(|line| source.text.contains(line)),
                "{} shows its {name}",
                source.path.display()
            );
        }
    }
}

#[test]
fn templates_keep_the_content_security_policy() {
    let mut found = Vec::new();
    files(&root("ui"), &mut found);
    // Each of these needs `unsafe-inline` or `unsafe-eval`, or is a word of htmx 2 that htmx 4 ignores in silence.
    let forbidden = [
        " style=",
        "<style",
        "<script>",
        " onclick",
        " onload",
        " onchange",
        " onsubmit",
        "hx-on",
        "js:",
        "|safe",
        "| safe",
        "hx-ext",
        "hx-disabled-elt",
        "hx-vars",
        "htmx:afterSwap",
    ];
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        for word in forbidden {
            assert!(!text.contains(word), "{} holds {word:?}", path.display());
        }
    }
}

#[test]
fn every_migration_is_in_the_list() {
    let list = fs::read_to_string(root("src/base/db/migrate.rs")).unwrap();
    for entry in fs::read_dir(root("migrations")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().replace(".sql", "");
        assert!(list.contains(&format!("\"{name}\"")), "{name} never runs");
    }
}
