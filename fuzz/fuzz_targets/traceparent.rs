//! See `loadweaver_fuzz::traceparent`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loadweaver_fuzz::traceparent::holds(data));
