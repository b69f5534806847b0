//! A LastPass response to one of the three commands becomes documents, or an error that says what to check.
//!
//! The first byte of an input chooses the command; the rest is the body of the first response of a server on loopback.
//! Later responses are those of an empty account, so that each input ends.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|input: &[u8]| -> Corpus {
    if lastpass_fuzz::lastpass::check(input).is_some() { Corpus::Keep } else { Corpus::Reject }
});
