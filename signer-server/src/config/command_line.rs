//! The layer of command line arguments, and the texts of help, usage and version.

use std::ffi::OsString;

use clap::{
    Arg, ArgAction, ArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{
    Exit,
    error::{Origin, ParameterError},
    option::{Kind, OptionSpec, Scope, Treatment, dashed},
    options,
    values::{Given, Layer},
};

const BINARY: &str = "signer-server";
const HELP: &str = "help";

const AFTER_HELP: &str = "\
Every option can also be given as an environment variable, WEB3SIGNER_ and the option's name in \
capitals with underscores (WEB3SIGNER_HTTP_LISTEN_PORT; behind a command with the command's name, \
WEB3SIGNER_ETH2_NETWORK), or as a key of the YAML file that --config-file names (http-listen-port, \
eth2.network). The command line comes before the environment, the environment before the file.";

/// The command that was called and the options on its command line.
pub(super) struct Parsed {
    pub(super) scope: Scope,
    pub(super) layer: Layer,
}

/// What `--version` prints.
pub(super) fn version() -> String {
    format!(
        "{BINARY}/v{}/{}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

/// Reads the arguments, of which the first is the program's name.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, Exit> {
    let arguments = join_flag_values(arguments);
    let matches = command().try_get_matches_from(&arguments).map_err(|e| exit(&e, &arguments))?;
    let mut layer = Layer::default();
    let mut scope = Scope::Root;
    let mut matches = &matches;
    loop {
        collect(scope, matches, &mut layer).map_err(|error| parameter_exit(scope, &error))?;
        let Some((name, below)) = matches.subcommand() else { break };
        if name == HELP {
            return Err(Exit { code: 0, message: help(scope), to_stdout: true });
        }
        let Some(next) = Scope::ALL
            .into_iter()
            .find(|next| next.command_path().split_last() == Some((&name, scope.command_path())))
        else {
            break;
        };
        (scope, matches) = (next, below);
    }
    Ok(Parsed { scope, layer })
}

/// The exit for an error that was found after the arguments were read.
pub(super) fn parameter_exit(scope: Scope, error: &ParameterError) -> Exit {
    refusal(&error.to_string(), &usage_of(scope))
}

fn refusal(reason: &str, usage: &str) -> Exit {
    let message =
        format!("error: {reason}\n\n{}\n\nFor more information, try '--help'.\n", usage.trim_end());
    Exit { code: 2, message, to_stdout: false }
}

fn help(scope: Scope) -> String {
    with_command(scope, |command| command.render_help().to_string())
}

fn with_command<T>(scope: Scope, use_it: impl FnOnce(&mut clap::Command) -> T) -> T {
    let mut current = command();
    current.build();
    for name in scope.command_path() {
        if let Some(below) = current.find_subcommand(name).cloned() {
            current = below;
        }
    }
    use_it(&mut current)
}

/// The whole command line, from the tables.
pub(super) fn command() -> clap::Command {
    let export = leaf(Scope::Export, "Write the slashing protection records to a file");
    let import = leaf(Scope::Import, "Add the slashing protection records of a file");
    let repair = leaf(Scope::WatermarkRepair, "Set or remove slashing protection watermarks");
    let eth2 = branch("eth2", Scope::Eth2, "Sign Ethereum consensus duties with BLS keys")
        .subcommands([export, import, repair, migrate()]);
    branch(BINARY, Scope::Root, "Midslot: a Web3Signer-compatible remote signer for validators")
        .bin_name(BINARY)
        .version(version())
        .propagate_version(true)
        .subcommands([eth2, leaf(Scope::Audit, "Show who asked which key to sign what")])
        .subcommand_required(true)
}

fn migrate() -> clap::Command {
    let name = Scope::Migrate.command_path().last().copied().unwrap_or(BINARY);
    branch(name, Scope::Migrate, "Move all slashing protection records to another database")
        .subcommands([
            leaf(Scope::FromWeb3Signer, "Move in from Web3Signer's database, or back"),
            leaf(Scope::SqliteToPostgres, "Move from a SQLite file to a PostgreSQL database"),
            leaf(Scope::PostgresToSqlite, "Move from a PostgreSQL database to a SQLite file"),
        ])
        .subcommand_required(true)
}

fn branch(name: &'static str, scope: Scope, about: &'static str) -> clap::Command {
    clap::Command::new(name)
        .about(about)
        .after_help(AFTER_HELP)
        .next_line_help(true)
        .args(options::of(scope).map(argument))
}

/// A command without commands below it. Clap gives those no `help` command of its own.
fn leaf(scope: Scope, about: &'static str) -> clap::Command {
    let name = scope.command_path().last().copied().unwrap_or(BINARY);
    branch(name, scope, about)
        .disable_help_subcommand(true)
        .subcommand(clap::Command::new(HELP).about("Print help").hide(true))
}

fn argument(spec: &'static OptionSpec) -> Arg {
    let mut argument = Arg::new(spec.name())
        .help(help_text(spec))
        .help_heading(spec.heading)
        .hide(spec.hidden)
        .value_parser(clap::value_parser!(String))
        .value_name(value_name(spec.kind))
        .action(if spec.kind.is_repeatable() { ArgAction::Append } else { ArgAction::Set });
    if spec.kind == Kind::Flag {
        argument = argument.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    for name in spec.names {
        let is_first = *name == spec.name();
        argument = match (name.chars().next(), name.len()) {
            (Some(letter), 1) if is_first => argument.short(letter),
            (Some(letter), 1) => argument.visible_short_alias(letter),
            _ if is_first => argument.long(*name),
            _ => argument.visible_alias(*name),
        };
    }
    argument
}

fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag | Kind::Boolean => "true|false",
        Kind::Integer { .. } => "NUMBER",
        Kind::Choice(_) => "NAME",
        Kind::Choices(_) => "NAME,...",
        Kind::Text => "TEXT",
        Kind::Path => "PATH",
        Kind::List => "TEXT,...",
        Kind::Map => "KEY=VALUE|...",
    }
}

fn help_text(spec: &OptionSpec) -> String {
    let mut parts = vec![spec.help.to_owned()];
    if let Kind::Choice(names) | Kind::Choices(names) = spec.kind {
        parts.push(format!("One of {}.", names.join(", ")));
    }
    parts.extend(spec.default.map(|default| format!("[default: {default}]")));
    match spec.treatment {
        Treatment::Used | Treatment::Companion => {}
        Treatment::NoEffect(advice) => parts.push(format!("[no effect: {advice}]")),
        Treatment::Unavailable(_) => parts.push("[not available in this version]".to_owned()),
    }
    parts.join(" ")
}

fn collect(scope: Scope, matches: &ArgMatches, layer: &mut Layer) -> Result<(), ParameterError> {
    for spec in options::of(scope) {
        if matches.value_source(spec.name()) == Some(ValueSource::CommandLine)
            && let Some(texts) = matches.get_many::<String>(spec.name())
        {
            let given = Given { texts: texts.cloned().collect(), origin: Origin::CommandLine };
            layer.insert(spec, given)?;
        }
    }
    Ok(())
}

/// Turns `--flag true` into `--flag=true`, so that a flag can stand before a command's name as
/// well as before its value.
fn join_flag_values(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        let is_boolean =
            argument.eq_ignore_ascii_case("true") || argument.eq_ignore_ascii_case("false");
        match joined.last_mut() {
            Some(flag) if is_boolean && is_flag(flag) => {
                flag.push("=");
                flag.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

fn is_flag(argument: &OsString) -> bool {
    options::all()
        .filter(|spec| spec.kind == Kind::Flag)
        .flat_map(|spec| spec.names)
        .any(|name| *argument == *dashed(name))
}

/// The exit for what clap makes of the arguments: help, version or an error.
fn exit(error: &clap::Error, arguments: &[OsString]) -> Exit {
    let stray =
        match (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidSubcommand)) {
            (Some(ContextValue::String(text)), _) | (_, Some(ContextValue::String(text))) => text,
            _ => "",
        };
    let rendered = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp => Exit { code: 0, message: rendered, to_stdout: true },
        ErrorKind::DisplayVersion => {
            Exit { code: 0, message: format!("{}\n", version()), to_stdout: true }
        }
        ErrorKind::UnknownArgument if let Some(hint) = misplaced(stray) => {
            refusal(&format!("misplaced option {stray}: {hint}"), &usage(arguments))
        }
        // A stray word may be a part of a password with a blank.
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand
            if !stray.starts_with('-') && arguments.iter().any(names_a_secret) =>
        {
            refusal("an argument is neither an option nor a command", &usage(arguments))
        }
        // Clap leaves the usage out of some errors.
        _ if error.get(ContextKind::Usage).is_none() => {
            let reason = rendered.lines().next().unwrap_or_default();
            refusal(reason.trim_start_matches("error: "), &usage(arguments))
        }
        _ => Exit { code: 2, message: rendered, to_stdout: false },
    }
}

/// The usage of the innermost command that arguments name.
fn usage(arguments: &[OsString]) -> String {
    let scope = Scope::ALL.into_iter().rev().find(|scope| {
        scope.command_path().iter().all(|name| arguments.iter().any(|argument| argument == name))
    });
    usage_of(scope.unwrap_or(Scope::Root))
}

fn usage_of(scope: Scope) -> String {
    with_command(scope, |command| command.render_usage().to_string())
}

/// Says where an option belongs that is known, but not where it stood.
fn misplaced(argument: &str) -> Option<String> {
    let spec =
        options::all().find(|spec| spec.names.iter().any(|name| dashed(name) == argument))?;
    Some(match spec.scope.command_path() {
        [] => "it is a root option, give it before `eth2`".to_owned(),
        [command] => {
            format!("it is an option of `{command}`, give it right after `{command}`")
        }
        path => format!("it is an option of `{}`, give it after that", path.join(" ")),
    })
}

fn names_a_secret(argument: &OsString) -> bool {
    let argument = argument.to_string_lossy();
    let name = argument.split('=').next().unwrap_or_default();
    options::all()
        .filter(|spec| spec.secret)
        .flat_map(|spec| spec.names)
        .any(|secret| name == dashed(secret))
}
