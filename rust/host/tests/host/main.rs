//! The program, run with small plugins written in C.

mod arguments;
mod async_events;
mod bench;
mod captures;
mod ending;
mod events;
mod fields;
mod info;
mod interrupts;
mod libraries;
mod lifecycle;
mod log;
mod metrics;
mod parsing;
mod payloads;
mod peer;
mod scap;
mod schemas;
mod set_config;
mod several_plugins;
mod suite;
mod support;
mod threads;
