#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| falco_plugin_fuzz::bundle::check(input));
