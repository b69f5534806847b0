//! The environment of the function, as an object of variables: it becomes settings, or an error that names each invalid one.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|input: &[u8]| -> Corpus {
    if lastpass_fuzz::settings::check(input).is_some() { Corpus::Keep } else { Corpus::Reject }
});
