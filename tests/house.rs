//! The floors of the house: which module may import which (see CONTRIBUTING.md).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A module, by the first part of its path, and what it may import of the crate. Its own folder, tests
/// and documentation are free.
const MAY_IMPORT: [(&str, &[&str]); 32] = [
    // Floor 0: words.
    ("algorithm", &["error"]),
    ("clock", &[]),
    ("credential", &["rejection"]),
    ("error", &[]),
    ("eventual", &[]),
    ("identity", &["clock", "credential", "scope", "secret"]),
    ("lanes", &[]),
    ("rejection", &["credential", "error", "scope"]),
    ("request_head", &[]),
    ("scope", &[]),
    ("secret", &[]),
    ("token", &["credential", "error", "secret"]),
    // Floor 1: tools.
    ("challenge", &["scope"]),
    ("contract", &["algorithm", "clock", "credential", "error", "jose", "scope", "secret"]),
    ("decisions", &[]),
    ("flight", &[]),
    ("jose", &["algorithm", "error", "secret"]),
    ("pat", &["error", "jose", "secret"]),
    ("store", &["algorithm", "clock", "error", "eventual", "flight", "jose", "scope", "secret"]),
    ("transport", &["error", "eventual"]),
    // Floor 2: engines, and the face.
    (
        "verify",
        &[
            "contract",
            "flight",
            "transport",
            "algorithm",
            "clock",
            "credential",
            "decisions",
            "error",
            "eventual",
            "identity",
            "jose",
            "pat",
            "rejection",
            "scope",
            "secret",
            "store",
        ],
    ),
    (
        "issue",
        &[
            "algorithm",
            "clock",
            "contract",
            "credential",
            "error",
            "eventual",
            "flight",
            "identity",
            "jose",
            "pat",
            "rejection",
            "scope",
            "secret",
            "store",
            // A client's assertion is a JWT, and what is revoked here is looked up there.
            "verify::JwtVerifier",
            "verify::KeyLookup",
            "verify::Keys",
            "verify::RevocableVerifier",
            "verify::Verify",
        ],
    ),
    ("respond", &["credential", "error", "rejection", "request_head"]),
    (
        "source",
        &[
            "clock",
            "contract",
            "credential",
            "error",
            "eventual",
            "flight",
            "lanes",
            "secret",
            "token",
            "transport",
        ],
    ),
    // Floor 3: middleware. Of an engine, the trait alone.
    (
        "attach",
        &[
            "contract::Refusal",
            "error",
            "eventual",
            "lanes",
            // What the trait hands out, and how it is read.
            "source::Held",
            "source::Published",
            "source::TokenSource",
            "token",
        ],
    ),
    (
        "authenticate",
        &["credential", "eventual", "identity", "rejection", "request_head", "respond", "verify::Verify"],
    ),
    ("limit", &["rejection", "request_head", "respond"]),
    ("require", &["credential", "identity", "rejection", "request_head", "respond", "scope"]),
    // Floor 4: edges.
    (
        "integrations",
        &[
            "error",
            "eventual",
            "transport",
            "verify",
            "credential",
            "identity",
            "rejection",
            "request_head",
            "respond",
        ],
    ),
    ("manual", &[]),
    ("test_util", &["algorithm", "clock", "error", "eventual", "issue", "scope", "transport"]),
    ("lib", &["*"]),
];

/// A name that only these modules may say, outside of comments.
const ONLY_IN: [(&str, &[&str]); 9] = [
    ("jsonwebtoken", &["jose"]),
    // The ready-made transport names the provider of its TLS.
    ("aws_lc_rs", &["integrations", "jose"]),
    ("SystemTime::now", &["clock"]),
    // Endpoints have refusals of their own (RFC 6749 §5.2).
    ("WWW_AUTHENTICATE", &["challenge", "issue", "respond"]),
    // Inbound, the table alone; outbound, what servers say is read.
    ("StatusCode::", &["attach", "contract", "issue", "rejection", "source", "test_util", "transport"]),
    ("sqlx", &["store"]),
    (".spawn(", &["flight"]),
    // The timer's.
    ("std::time::Instant", &[]),
    ("unsafe", &["lib"]),
];

#[test]
fn every_import_stays_on_its_floor() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.into();
    for (file, module, code) in sources() {
        let rule =
            allowed.get(module.as_str()).unwrap_or_else(|| panic!("{file}: no rule for module {module}"));
        for import in imports(&code) {
            let own = import.split("::").next() == Some(&module);
            let fits = |allowed: &&str| {
                *allowed == "*" || import == **allowed || import.starts_with(&format!("{allowed}::"))
            };
            assert!(own || rule.iter().any(fits), "{file}: {module} must not import crate::{import}");
        }
    }
}

#[test]
fn some_names_have_one_room() {
    for (file, module, code) in sources() {
        for (name, rooms) in ONLY_IN {
            let said = code.lines().any(|line| line.split("//").next().unwrap_or_default().contains(name));
            assert!(!said || rooms.contains(&module.as_str()), "{file}: only {rooms:?} may say {name}");
        }
    }
}

#[test]
fn no_file_is_two_files() {
    for (file, _, code) in sources() {
        let lines = code.lines().count();
        assert!(lines <= 350, "{file}: {lines} lines before its tests");
    }
}

#[test]
fn the_reader_of_imports_reads() {
    let code = "use crate::a::B;\nuse crate::{\n  c::D,\n  e,\n};\nfn f() { crate::g::h() }\nuse crate::i::{J, K};\n//! use crate::not::This\n";
    assert_eq!(imports(code), ["a::B", "c::D", "e", "g::h", "i::J", "i::K"]);
}

/// Each file with its module and its code before the tests.
fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "vectors.rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                let module = name.split(['/', '.']).next().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let end = text.find("\n#[cfg(test)]\nmod tests").unwrap_or(text.len());
                let end = text.find("\n#[cfg(all(test").map_or(end, |other| end.min(other));
                files.push((name, module, text[..end].to_owned()));
            }
        }
    }
    assert!(files.len() > 30, "the sources are found");
    files
}

/// What follows `crate::` in code, one entry for each name in braces. Doc links are not imports.
fn imports(code: &str) -> Vec<String> {
    let code: Vec<_> = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let mut found = Vec::new();
    for rest in code.join(" ").split("crate::").skip(1) {
        let list = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for name in list.into_iter().map(str::trim).filter(|name| !name.is_empty()) {
            let is_path = |char: &char| char.is_alphanumeric() || "_:".contains(*char);
            let path: String = name.chars().take_while(is_path).collect();
            // `a::{B, C}`: one entry for each.
            match name[path.len()..].strip_prefix('{') {
                Some(list) => {
                    let list = list.split('}').next().unwrap_or_default().split(',').map(str::trim);
                    found.extend(list.filter(|name| !name.is_empty()).map(|name| format!("{path}{name}")));
                }
                None => found.push(path.trim_end_matches(':').to_owned()),
            }
        }
    }
    found
}
