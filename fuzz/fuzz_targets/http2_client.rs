//! See `loadweaver_fuzz::http2_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loadweaver_fuzz::http2_client::holds(data));
