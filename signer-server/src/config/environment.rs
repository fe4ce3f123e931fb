//! The layer of environment variables: `WEB3SIGNER_`, the commands and the option's name, in
//! capitals with underscores.

use super::{
    error::{Origin, ParameterError},
    option::Scope,
    options::{self, root::CONFIG_FILE},
    values::{Given, Layer},
};

/// Reads the variables of a command's options.
pub(super) fn read(
    scope: Scope,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Layer, ParameterError> {
    let mut layer = Layer::default();
    for spec in scope.with_parents().flat_map(options::of).filter(|spec| **spec != CONFIG_FILE) {
        for name in spec.environment_names() {
            if let Some(text) = environment(&name) {
                let origin = Origin::Environment(name);
                layer.insert(spec, Given { texts: vec![text], origin })?;
            }
        }
    }
    Ok(layer)
}

/// A warning when the environment names a configuration file, which only the command line can.
pub(super) fn ignored_config_file(environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    CONFIG_FILE.environment_names().find(|name| environment(name).is_some()).map(|name| {
        format!("environment variable {name} has no effect: give --config-file on the command line")
    })
}
