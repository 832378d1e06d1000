#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| linnet_fuzz::targets::engineio::run(data));
