//! Every error text that a user may read, with its causes, in one file for each system.
//!
//! A case is a fault and its expected `errorType`. `texts/` contains the full texts for review;
//! `WRITE_TEXTS=1 cargo test --workspace --lib errors` rewrites them.

mod answers;
mod settings;
mod users;

use std::{collections::BTreeSet, fs, path::PathBuf};

use crate::error::Error;

/// One fault.
pub(crate) struct Case {
    what: String,
    error: Error,
    error_type: &'static str,
}

/// Creates a case from a fault and the error that it caused.
pub(crate) fn case(what: impl Into<String>, error: impl Into<Error>, error_type: &'static str) -> Case {
    Case { what: what.into(), error: error.into(), error_type }
}

/// Checks each case, and all texts against the file of their group.
pub(crate) fn review(group: &str, cases: &[Case]) {
    let mut wrong = Vec::new();
    let mut texts = String::new();
    for Case { what, error, error_type } in cases {
        let text = error.with_causes();
        if error.error_type() != *error_type {
            wrong.push(format!("{what}: {} instead of {error_type}: {text}", error.error_type()));
        }
        if text.contains(['\n', '\r', '\0']) || text.len() > 1_500 {
            wrong.push(format!("{what}: not one line of a readable length: {text}"));
        }
        texts.push_str(&format!("# {what}\n{}\n{text}\n\n", error.error_type()));
    }
    let names: BTreeSet<&String> = cases.iter().map(|case| &case.what).collect();
    assert_eq!(names.len(), cases.len(), "{group}: two cases of one name");
    assert!(wrong.is_empty(), "{group}:\n{}", wrong.join("\n"));
    let file = folder().join(format!("{group}.txt"));
    #[expect(clippy::disallowed_methods, reason = "of the test, not a setting of the function")]
    let writes = std::env::var("WRITE_TEXTS").is_ok();
    if writes {
        fs::write(&file, &texts).expect("the texts can be written");
    }
    let reviewed = fs::read_to_string(&file).unwrap_or_default();
    for (now, then) in texts.split("\n\n").zip(reviewed.split("\n\n")) {
        assert_eq!(now, then, "{group}: read it, then run WRITE_TEXTS=1 cargo test --workspace --lib errors");
    }
    assert_eq!(texts, reviewed, "{group}: read it, then run WRITE_TEXTS=1 cargo test --workspace --lib errors");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/errors/texts")
}

/// Returns the second lines of all cases in the reviewed files.
fn reviewed_types() -> Vec<String> {
    let files = fs::read_dir(folder()).expect("the folder of the texts");
    let texts = files.map(|file| fs::read_to_string(file.expect("a file").path()).expect("a text"));
    texts
        .flat_map(|text| {
            text.split("\n\n").filter_map(|case| Some(case.lines().nth(1)?.to_owned())).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_docs_explain_each_error_type_that_they_have_and_no_other() {
    let errors =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md")).expect("the page");
    let told: BTreeSet<&str> = errors
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(error_type, _)| error_type)
        .filter(|error_type| *error_type != "errorType")
        .collect();
    let given = reviewed_types();
    assert_eq!(told, given.iter().map(String::as_str).collect());
}
