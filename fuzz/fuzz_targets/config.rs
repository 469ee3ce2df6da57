//! See `loadweaver_fuzz::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loadweaver_fuzz::config::holds(data));
