//! See `loadweaver_fuzz::preface`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loadweaver_fuzz::preface::holds(data));
