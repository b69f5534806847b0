#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    lastpass_fuzz::secret::check(input);
});
