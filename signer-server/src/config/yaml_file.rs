//! The layer of the configuration file.
//!
//! The file is one mapping from option names to values. Options of `eth2` have keys such as
//! `eth2.network`, or stand in a mapping below `eth2`. Errors name the file with the key or the
//! line, never a value: the file may hold passwords.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{
    error::{Origin, ParameterError},
    option::{Kind, OptionSpec, Scope},
    options::{self, root::CONFIG_FILE},
    values::{Given, Layer},
    yaml_tree::{self, Node},
};

/// Largest configuration file that is read, in bytes; real ones have a few hundred.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// Reads a configuration file. Its keys are checked for every command; the layer also holds
/// options of commands other than the present one.
pub(super) fn read(path: &Path) -> Result<Layer, ParameterError> {
    let in_file = |reason: String| ParameterError::File { path: path.to_owned(), reason };
    let text = read_text(path).map_err(|error| in_file(format!("cannot be read: {error}")))?;
    let entries = match yaml_tree::parse(&text).map_err(|error| in_file(error.to_string()))? {
        Node::Null => return Err(in_file("the file is empty".to_owned())),
        Node::Map(entries) if entries.is_empty() => {
            return Err(in_file("the file is empty".to_owned()));
        }
        Node::Map(entries) => entries,
        Node::Text(_) | Node::List(_) => {
            return Err(in_file("expected a mapping of option names to values".to_owned()));
        }
    };
    let mut layer = Layer::default();
    add_entries(path, "", entries, &mut layer)?;
    Ok(layer)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let size = File::open(path)?.take(MAX_SIZE + 1).read_to_string(&mut text)?;
    if size as u64 > MAX_SIZE {
        return Err(io::Error::other(format!("larger than {MAX_SIZE} bytes")));
    }
    Ok(text)
}

/// Adds the entries of the mapping that stands below `prefix`, which is empty or ends in a dot.
fn add_entries(
    path: &Path,
    prefix: &str,
    entries: Vec<(String, Node)>,
    layer: &mut Layer,
) -> Result<(), ParameterError> {
    for (name, node) in entries {
        let key = format!("{prefix}{name}");
        let in_file = |reason: String| ParameterError::File { path: path.to_owned(), reason };
        if let Some(spec) = option_with_key(&key) {
            if *spec == CONFIG_FILE {
                return Err(in_file(format!(
                    "key {key}: a configuration file cannot name another one"
                )));
            }
            let texts = texts(spec, node).map_err(|why| in_file(format!("key {key}: {why}")))?;
            layer.insert(
                spec,
                Given { texts, origin: Origin::File { path: path.to_owned(), key } },
            )?;
        } else if is_command(&key) {
            match node {
                Node::Map(entries) => add_entries(path, &format!("{key}."), entries, layer)?,
                // What is left when every option below a command is commented out.
                Node::Null => {}
                Node::Text(_) | Node::List(_) => {
                    return Err(in_file(format!("key {key}: expected a mapping of options")));
                }
            }
        } else {
            return Err(in_file(format!("unknown key {key}")));
        }
    }
    Ok(())
}

fn option_with_key(key: &str) -> Option<&'static OptionSpec> {
    options::all().find(|spec| spec.file_keys().any(|known| known == key))
}

fn is_command(key: &str) -> bool {
    Scope::ALL.into_iter().any(|scope| {
        let command_path = scope.command_path();
        !command_path.is_empty() && command_path.join(".") == key
    })
}

/// A value in the form in which the command line would give it.
fn texts(spec: &OptionSpec, node: Node) -> Result<Vec<String>, &'static str> {
    match (spec.kind, node) {
        (_, Node::Text(text)) => Ok(vec![text]),
        (_, Node::Null) => Err("has no value"),
        (Kind::List | Kind::Choices(_), Node::List(nodes)) if !nodes.is_empty() => nodes
            .into_iter()
            .map(|node| match node {
                Node::Text(text) => Ok(text),
                _ => Err("expected a list of texts"),
            })
            .collect(),
        (Kind::Map, Node::Map(entries)) if !entries.is_empty() => entries
            .into_iter()
            .map(|(key, node)| match node {
                Node::Text(text) => Ok(format!("{key}={text}")),
                _ => Err("expected a mapping of texts"),
            })
            .collect(),
        (Kind::List | Kind::Choices(_), _) => Err("expected a text or a list with entries"),
        (Kind::Map, _) => Err("expected a text or a mapping with entries"),
        _ => Err("expected a single value"),
    }
}
