//! Whatever is given, the answer is a configuration or an error.

use std::{collections::HashMap, ffi::OsString};

use proptest::{collection::vec, prelude::*, sample::select};

use super::super::{from_args, option::dashed, options, yaml_tree};

/// Values that some option accepts, and some that none does.
const VALUES: &[&str] = &[
    "",
    "true",
    "false",
    "0",
    "1",
    "65536",
    "18446744073709551616",
    "-1",
    "*",
    "none",
    "a,b",
    ",",
    "a=b|c=d",
    "=",
    "INFO",
    "HTTP,JVM",
    "(",
    "sqlite:a",
    "sqlite:",
    "postgres://a",
    "/dev/null",
    "é",
    "\u{0}",
    "--",
    "-",
    "=x",
];

/// Commands, and what can stand in their place.
const WORDS: &[&str] = &["eth2", "export", "import", "watermark-repair", "help", "-h", "-V", "--"];

fn argument() -> impl Strategy<Value = String> {
    let names: Vec<String> =
        options::all().flat_map(|spec| spec.names).map(|name| dashed(name)).collect();
    prop_oneof![
        4 => select(names.clone()),
        4 => (select(names), select(VALUES)).prop_map(|(name, value)| format!("{name}={value}")),
        3 => select(WORDS).prop_map(str::to_owned),
        2 => select(VALUES).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn variables() -> impl Strategy<Value = HashMap<String, String>> {
    let names: Vec<String> =
        options::all().flat_map(|spec| spec.environment_names().collect::<Vec<_>>()).collect();
    let value = prop_oneof![select(VALUES).prop_map(str::to_owned), any::<String>()];
    vec((select(names), value), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

proptest! {
    #[test]
    fn any_arguments_give_an_invocation_or_an_exit(
        arguments in vec(argument(), 0..12),
        variables in variables(),
    ) {
        let arguments = std::iter::once("signer-server".to_owned()).chain(arguments);
        let answer = from_args(arguments.map(OsString::from), &|name| variables.get(name).cloned());
        if let Err(exit) = answer {
            prop_assert!(exit.message.ends_with('\n'));
            let code = if exit.to_stdout { 0 } else { 2 };
            prop_assert_eq!(exit.code, code);
        }
    }

    #[test]
    fn any_text_gives_a_tree_or_an_error(text in "[a-c:,&*!|>'\"#%@ \\-\\[\\]{}0-9~?\\n\\t]{0,60}") {
        let _ = yaml_tree::parse(&text);
    }

    #[test]
    fn quoted_texts_are_read_back(text in "[ -~é]{0,40}") {
        let quoted = format!("a: '{}'\n", text.replace('\'', "''"));
        let expected = yaml_tree::Node::Map(vec![("a".to_owned(), yaml_tree::Node::Text(text))]);
        prop_assert_eq!(yaml_tree::parse(&quoted), Ok(expected));
    }
}
