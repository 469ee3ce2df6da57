//! See `loadweaver_fuzz::collector_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loadweaver_fuzz::collector_answer::holds(data));
