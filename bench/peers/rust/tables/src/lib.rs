//! A plugin of the Rust SDK that shares state tables with a plugin of this SDK.
//!
//! It has the table `peer_sessions` with the entry `captures`, which counts captures. If the table `ours_sessions` exists
//! when it is initialised, it changes that table at the beginning of a capture: it adds 100 to the `requests` of the entry
//! `eve`, adds a field and an entry, and removes the entry `mallory`.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use falco_plugin::anyhow::{Error, anyhow};
use falco_plugin::base::Plugin;
use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::Event;
use falco_plugin::extract::{ExtractFieldInfo, ExtractPlugin, ExtractRequest, field};
use falco_plugin::listen::{CaptureListenInput, CaptureListenPlugin};
use falco_plugin::tables::import::{Entry, Field, Table, TableMetadata};
use falco_plugin::tables::{TablesInput, export};
use falco_plugin::{capture_listen_plugin, extract_plugin, plugin};

/// An entry of the table that this plugin has.
#[derive(export::Entry)]
pub struct Session {
    user: export::Public<CString>,
    requests: export::Public<i64>,
}

/// An entry of the other plugin's table.
type Imported = Entry<Arc<ImportedMetadata>>;

#[derive(TableMetadata)]
#[entry_type(Imported)]
pub struct ImportedMetadata {
    user: Field<CStr, Imported>,
    requests: Field<i64, Imported>,
    #[custom]
    note: Field<CStr, Imported>,
}

pub struct Peer {
    own: Box<export::Table<CString, Session>>,
    ours: Option<Table<CString, Imported>>,
}

impl Plugin for Peer {
    const NAME: &'static CStr = c"peer";
    const PLUGIN_VERSION: &'static CStr = c"0.0.0";
    const DESCRIPTION: &'static CStr = c"Shares state tables";
    const CONTACT: &'static CStr = c"";
    type ConfigType = ();

    fn new(input: Option<&TablesInput>, (): Self::ConfigType) -> Result<Self, Error> {
        let input = input.ok_or_else(|| anyhow!("the host passes no tables"))?;
        let mut own = export::Table::<CString, Session>::new(c"peer_sessions")?;
        let mut entry = own.create_entry()?;
        *entry.user = c"rust".to_owned();
        own.insert(c"captures", entry);
        Ok(Self {
            own: input.add_table(own)?,
            ours: input.get_table(c"ours_sessions").ok(),
        })
    }
}

impl CaptureListenPlugin for Peer {
    fn capture_open(&mut self, input: &CaptureListenInput) -> Result<(), Error> {
        if let Some(mut captures) = self.own.lookup(c"captures") {
            *captures.requests += 1;
        }
        let Some(ours) = &self.ours else { return Ok(()) };
        let (reader, writer) = (&input.reader, &input.writer);
        let eve = ours.get_entry(reader, &c"eve".to_owned())?;
        eve.set_requests(writer, &(eve.get_requests(reader)? + 100))?;
        eve.set_note(writer, c"written by Rust")?;
        if ours.get_entry(reader, &c"peer".to_owned()).is_err() {
            let entry = ours.create_entry(writer)?;
            entry.set_user(writer, c"rust")?;
            ours.insert(reader, writer, &c"peer".to_owned(), entry)?;
            ours.erase(writer, &c"mallory".to_owned())?;
        }
        Ok(())
    }

    fn capture_close(&mut self, _: &CaptureListenInput) -> Result<(), Error> {
        Ok(())
    }
}

impl Peer {
    /// Reads the other plugin's table.
    fn requests(&mut self, request: ExtractRequest<Self>) -> Result<u64, Error> {
        let ours = self.ours.as_ref().ok_or_else(|| anyhow!("there is no other plugin"))?;
        let eve = ours.get_entry(request.table_reader, &c"eve".to_owned())?;
        Ok(eve.get_requests(request.table_reader)?.try_into()?)
    }
}

impl ExtractPlugin for Peer {
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;
    type ExtractContext = ();
    const EXTRACT_FIELDS: &'static [ExtractFieldInfo<Self>] = &[field("peer.requests", &Self::requests)];
}

plugin!(Peer);
capture_listen_plugin!(Peer);
extract_plugin!(Peer);
