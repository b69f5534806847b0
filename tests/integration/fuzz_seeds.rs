//! The fuzz targets accept their seeds. Without this, only `make fuzz` would notice that a target no longer fits the code.

use std::{fs, path::Path};

#[path = "../../testing/fuzz/src/lib.rs"]
mod fuzz;

/// Returns the files of a folder of the project, with their names.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.display().to_string(), fs::read(path).expect("a file"))).collect()
}

#[test]
fn every_seed_has_the_form_of_its_target_and_passes() {
    let seeds = |target: &str| files(&format!("testing/fuzz/seeds/{target}"));
    let mut checked = 0;
    for (name, input) in seeds("lastpass") {
        assert!(fuzz::lastpass::check(&input), "{name}");
        checked += 1;
    }
    for (name, input) in seeds("payload").into_iter().chain(files("events")) {
        assert!(fuzz::payload::check(&input), "{name}");
        checked += 1;
    }
    for (name, input) in seeds("settings") {
        assert!(fuzz::settings::check(&input), "{name}");
        checked += 1;
    }
    for (_, input) in seeds("secret") {
        fuzz::secret::check(&input);
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}
