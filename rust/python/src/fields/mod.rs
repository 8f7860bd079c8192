//! Fields: how they are declared, what reads them, and the conversion of their values.

pub(crate) mod declared;
pub(crate) mod json_reader;
pub(crate) mod method;
pub(crate) mod names;
pub(crate) mod table_reader;
pub(crate) mod values;
