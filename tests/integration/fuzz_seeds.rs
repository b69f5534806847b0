//! The fuzz targets accept or refuse their seeds as intended. Without this, only `make fuzz` would notice that a target no
//! longer fits the code.

use std::{fs, path::Path};

#[path = "../../testing/fuzz/src/lib.rs"]
mod fuzz;

/// The seeds that are refused with an error. All others are accepted.
const REFUSED: [&str; 11] = [
    "lastpass/refusal",
    "secret/hash_alone.txt",
    "secret/placeholder.json",
    "secret/two_parts.json",
    "settings/hash_as_host.json",
    "settings/hash_as_user.json",
    "settings/hash_in_url.json",
    "settings/other_url.json",
    "settings/password_in_url.json",
    "settings/private_key.json",
    "settings/wrong_flag.json",
];

/// Returns the files of a folder of the project, with their names.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.display().to_string(), fs::read(path).expect("a file"))).collect()
}

#[test]
fn every_seed_has_the_form_of_its_target_and_is_accepted_or_refused() {
    let seeds = |target: &str| files(&format!("testing/fuzz/seeds/{target}"));
    let is_accepted = |name: &str| !REFUSED.iter().any(|refused| name.ends_with(refused));
    let mut checked = 0;
    for (name, input) in seeds("lastpass") {
        let documents = fuzz::lastpass::check(&input);
        assert_eq!(documents.map(|count| count > 0), Some(is_accepted(&name)), "{name}: {documents:?}");
        checked += 1;
    }
    for (name, input) in seeds("payload").into_iter().chain(files("events")) {
        assert_eq!(fuzz::payload::check(&input), Some(is_accepted(&name)), "{name}");
        checked += 1;
    }
    for (name, input) in seeds("settings") {
        assert_eq!(fuzz::settings::check(&input), Some(is_accepted(&name)), "{name}");
        checked += 1;
    }
    for (name, input) in seeds("secret") {
        assert_eq!(fuzz::secret::check(&input), is_accepted(&name), "{name}");
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}
