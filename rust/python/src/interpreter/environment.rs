//! The start of a linked library's Python: an environment at the path that it had when the library was built.

use std::env;
use std::ffi::{CStr, CString};

use crate::interpreter::start;

/// Environment variables by which even an isolated Python chooses its executable, and so its packages. They cannot be
/// unset, because other threads of the host may be reading the environment.
const MISLEADING_VARIABLES: [&str; 2] = ["PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"];

const REMEDY: &str =
    "install the environment again, or build the library again with 'falco-plugin build --python PATH'";

/// Starts Python for the environment of the executable `python`, unless the process has an interpreter already. Returns
/// whether this call has started it.
pub(crate) fn ensure_interpreter(python: &CStr) -> Result<bool, String> {
    let python: CString = python.to_owned();
    start::ensure(move || {
        if let Some(name) = MISLEADING_VARIABLES.iter().find(|name| env::var_os(name).is_some()) {
            return Err(format!(
                "the environment variable {name} is set, which would change the packages that Python imports: start \
                 Falco without it"
            ));
        }
        let configure = |config: &mut start::Configuration| {
            config.set(
                &[|config| &mut config.program_name, |config| &mut config.executable],
                &python,
                REMEDY,
            )
        };
        start::initialise(REMEDY, configure, |_| Ok(()))
    })
}
