//! What is known about one option: its names, its value, its default and what becomes of it.
//!
//! Invariant: everything that any layer (command line, environment, YAML) or the help text knows
//! about an option comes from its [`OptionSpec`]; nothing else names options.

/// The command that an option belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Before any command.
    Root,
    /// After `eth2`.
    Eth2,
    /// After `eth2 export`.
    Export,
    /// After `eth2 import`.
    Import,
    /// After `eth2 watermark-repair`.
    WatermarkRepair,
    /// After `eth2 migrate`, which does nothing alone.
    Migrate,
    /// After `eth2 migrate from-web3signer`.
    FromWeb3Signer,
    /// After `eth2 migrate sqlite-to-postgres`.
    SqliteToPostgres,
    /// After `eth2 migrate postgres-to-sqlite`.
    PostgresToSqlite,
    /// After `audit`.
    Audit,
}

impl Scope {
    pub(super) const ALL: [Self; 10] = [
        Self::Root,
        Self::Eth2,
        Self::Export,
        Self::Import,
        Self::WatermarkRepair,
        Self::Migrate,
        Self::FromWeb3Signer,
        Self::SqliteToPostgres,
        Self::PostgresToSqlite,
        Self::Audit,
    ];

    /// The commands that lead here, outermost first.
    pub(super) const fn command_path(self) -> &'static [&'static str] {
        match self {
            Self::Root => &[],
            Self::Eth2 => &["eth2"],
            Self::Export => &["eth2", "export"],
            Self::Import => &["eth2", "import"],
            Self::WatermarkRepair => &["eth2", "watermark-repair"],
            Self::Migrate => &["eth2", "migrate"],
            Self::FromWeb3Signer => &["eth2", "migrate", "from-web3signer"],
            Self::SqliteToPostgres => &["eth2", "migrate", "sqlite-to-postgres"],
            Self::PostgresToSqlite => &["eth2", "migrate", "postgres-to-sqlite"],
            Self::Audit => &["audit"],
        }
    }

    /// This scope and those around it: the options that can be given to its command. `audit` reads
    /// the database that `eth2` writes, so the environment and the configuration file may name it
    /// among the options of `eth2`.
    pub(super) fn with_parents(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |outer| {
            self.command_path().starts_with(outer.command_path())
                || (self == Self::Audit && *outer == Self::Eth2)
        })
    }
}

/// The form of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`; the name alone means `true`, a value needs `=`.
    Flag,
    /// `true` or `false`, always written out.
    Boolean,
    /// An unsigned decimal integer between two bounds, both included.
    Integer { min: u64, max: u64 },
    /// One of some names, in any case.
    Choice(&'static [&'static str]),
    /// Some of some names, in any case, joined by commas.
    Choices(&'static [&'static str]),
    /// Any text.
    Text,
    /// A path of a file or folder.
    Path,
    /// Texts joined by commas, none of them empty.
    List,
    /// Pairs `key=value` joined by `|`.
    Map,
}

impl Kind {
    /// Whether the option may be given several times on one command line.
    pub(super) const fn is_repeatable(self) -> bool {
        matches!(self, Self::Choices(_) | Self::List | Self::Map)
    }
}

/// What becomes of an option that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It is part of the configuration.
    Used,
    /// It is checked, then answered with one warning; the text says why, or what to use instead.
    NoEffect(&'static str),
    /// It belongs to a function that is switched on by another, unavailable option. It is checked
    /// and, that function being off, means nothing.
    Companion,
    /// Asking for it refuses the start; the text names the function that is missing. A flag or
    /// boolean asks for it when true, any other option when given at all.
    Unavailable(&'static str),
}

/// One option.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OptionSpec {
    /// The command it belongs to.
    pub(super) scope: Scope,
    /// Its names without leading dashes, the preferred one first. One letter is a short option.
    pub(super) names: &'static [&'static str],
    /// The form of its value.
    pub(super) kind: Kind,
    /// The value when no layer gives one, in the form in which it would be given.
    pub(super) default: Option<&'static str>,
    /// One or two sentences for the help text.
    pub(super) help: &'static str,
    /// The heading that it stands under in the help text.
    pub(super) heading: &'static str,
    /// Left out of the help text.
    pub(super) hidden: bool,
    /// Its value must never be shown.
    pub(super) secret: bool,
    /// What becomes of it.
    pub(super) treatment: Treatment,
}

impl OptionSpec {
    /// An option that is used, shown and has no default. The tables add its scope.
    pub(super) const fn new(
        names: &'static [&'static str],
        kind: Kind,
        heading: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            scope: Scope::Root,
            names,
            kind,
            default: None,
            help,
            heading,
            hidden: false,
            secret: false,
            treatment: Treatment::Used,
        }
    }

    pub(super) const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    pub(super) const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    pub(super) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn no_effect(mut self, advice: &'static str) -> Self {
        self.treatment = Treatment::NoEffect(advice);
        self
    }

    pub(super) const fn companion(mut self) -> Self {
        self.treatment = Treatment::Companion;
        self
    }

    pub(super) const fn unavailable(mut self, function: &'static str) -> Self {
        self.treatment = Treatment::Unavailable(function);
        self
    }

    /// The preferred name without dashes; unique within the scope.
    pub(super) const fn name(&self) -> &'static str {
        self.names[0]
    }

    /// The preferred name as written on a command line.
    pub(super) fn dashed_name(&self) -> String {
        dashed(self.name())
    }

    /// The environment variables that give it: one for each name.
    pub(super) fn environment_names(&self) -> impl Iterator<Item = String> {
        self.qualified_names("_")
            .map(|name| format!("WEB3SIGNER_{name}").replace('-', "_").to_ascii_uppercase())
    }

    /// The keys that give it in a configuration file: one for each name.
    pub(super) fn file_keys(&self) -> impl Iterator<Item = String> {
        self.qualified_names(".")
    }

    /// Each name behind the commands that lead to it.
    fn qualified_names(&self, separator: &'static str) -> impl Iterator<Item = String> {
        let path = self.scope.command_path();
        self.names.iter().map(move |name| [path, &[*name]].concat().join(separator))
    }
}

/// An option's name as written on a command line: one dash before a letter, two before a word.
pub(super) fn dashed(name: &str) -> String {
    if name.len() == 1 { format!("-{name}") } else { format!("--{name}") }
}
