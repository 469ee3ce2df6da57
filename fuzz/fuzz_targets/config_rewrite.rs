//! See `loadweaver_fuzz::config_rewrite`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loadweaver_fuzz::config_rewrite::holds(data));
