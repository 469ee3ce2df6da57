//! See `loadweaver_fuzz::hpack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loadweaver_fuzz::hpack::holds(data));
