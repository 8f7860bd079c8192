//! The plugins that send async events or listen to captures: what Falco calls when a capture begins and ends.

use std::sync::Arc;

use crate::abi::{self, AsyncQueue, AsyncSender, Plugin};
use crate::command::setup::Loaded;
use crate::output::StateEvent;

/// A plugin, and what it may send if it sends async events.
pub type Listener<'a, 'l> = (&'a Plugin<'l>, &'a Loaded);

/// Begins a capture: first all plugins get the handler of async events, then those that listen are notified.
pub fn begin(plugins: &[Listener<'_, '_>], queue: &Arc<AsyncQueue>) -> Result<(), abi::Error> {
    for (plugin, loaded) in plugins {
        if let Some(sender) = sender(loaded) {
            plugin.set_async_event_handler(sender, queue)?;
        }
    }
    plugins.iter().try_for_each(|(plugin, _)| plugin.capture_open())
}

/// Ends a capture, in the same order. Notifies all plugins, and returns the first error.
pub fn end(plugins: &[Listener<'_, '_>]) -> Result<(), abi::Error> {
    let handlers = plugins.iter().map(|(plugin, _)| plugin.reset_async_event_handler());
    let ended: Vec<_> = handlers.collect();
    // As in libs, a handler that cannot be reset ends the host before the others are notified.
    ended.into_iter().collect::<Result<(), _>>()?;
    plugins.iter().try_for_each(|(plugin, _)| plugin.capture_close())
}

/// Returns the events of all plugins that can write their state into a capture file.
pub fn dump(plugins: &[Listener<'_, '_>]) -> Result<Vec<StateEvent>, abi::Error> {
    let mut events = Vec::new();
    for (plugin, loaded) in plugins {
        let Some(sender) = sender(loaded) else { continue };
        let dumped = plugin.dump_state(sender)?.unwrap_or_default();
        events.extend(dumped.into_iter().map(|event| StateEvent {
            plugin: loaded.description.name.clone(),
            event,
        }));
    }
    Ok(events)
}

/// Returns what a plugin may send; `None` if it sends no async events.
fn sender(loaded: &Loaded) -> Option<AsyncSender> {
    let description = &loaded.description;
    (!description.async_events.is_empty()).then(|| AsyncSender {
        plugin: description.name.clone(),
        names: description.async_events.clone(),
        sources: description.async_event_sources.clone(),
    })
}
