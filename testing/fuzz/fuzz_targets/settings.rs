#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|input: &[u8]| -> Corpus {
    if lastpass_fuzz::settings::check(input).is_some() { Corpus::Keep } else { Corpus::Reject }
});
