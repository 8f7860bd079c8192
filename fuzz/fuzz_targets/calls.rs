#![no_main]

libfuzzer_sys::fuzz_target!(
    init: falco_plugin_fuzz::calls::load(),
    |input: &[u8]| falco_plugin_fuzz::calls::check(input)
);
