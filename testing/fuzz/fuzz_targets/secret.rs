//! The JSON in Secrets Manager: it becomes credentials, or an error that names each invalid field and quotes no secret.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    lastpass_fuzz::secret::check(input);
});
