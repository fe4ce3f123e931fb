//! Options of the commands after `eth2 migrate`.

use super::{
    super::option::{Kind, OptionSpec, Scope},
    option_table,
};

const SOURCE: &str = "Web3Signer's database";
const MOVE: &str = "Move";
const PLACES: &str = "Databases";

const USERNAME_HELP: &str = "User of the PostgreSQL database, if its address names none.";
const PASSWORD_HELP: &str = "Password of that user; others on this machine can see it here.";
const PASSWORD_FILE_HELP: &str = "File whose first line is the password of that user.";

const fn postgres_url(names: &'static [&'static str], help: &'static str) -> OptionSpec {
    OptionSpec::new(names, Kind::Text, PLACES, help).secret()
}

const fn file(names: &'static [&'static str], help: &'static str) -> OptionSpec {
    OptionSpec::new(names, Kind::Path, PLACES, help)
}

const fn username(heading: &'static str) -> OptionSpec {
    OptionSpec::new(&["username"], Kind::Text, heading, USERNAME_HELP)
}

const fn password(heading: &'static str) -> OptionSpec {
    OptionSpec::new(&["password"], Kind::Text, heading, PASSWORD_HELP).secret()
}

const fn password_file(heading: &'static str) -> OptionSpec {
    OptionSpec::new(&["password-file"], Kind::Path, heading, PASSWORD_FILE_HELP)
}

option_table!(
    FROM_WEB3SIGNER_TABLE,
    Scope::FromWeb3Signer,
    WEB3SIGNER_URL = OptionSpec::new(
        &["url"],
        Kind::Text,
        SOURCE,
        "Its address, as Web3Signer's own --slashing-protection-db-url has it: \
         jdbc:postgresql://<host>/<database>."
    )
    .secret(),
    WEB3SIGNER_USERNAME = username(SOURCE),
    WEB3SIGNER_PASSWORD = password(SOURCE),
    WEB3SIGNER_PASSWORD_FILE = password_file(SOURCE),
    DRY_RUN = OptionSpec::new(
        &["dry-run"],
        Kind::Flag,
        MOVE,
        "Look at all of Web3Signer's database, say what would be moved and what is wrong, and change \
         nothing. Midslot's own database is not looked at."
    )
    .default("false"),
    UNDO = OptionSpec::new(
        &["undo"],
        Kind::Flag,
        MOVE,
        "Give the keys back: switch them off here and let Web3Signer sign again. Refused when \
         something was signed here since."
    )
    .default("false"),
    FORCE = OptionSpec::new(
        &["force"],
        Kind::Flag,
        MOVE,
        "With --undo: also when something was signed here since. Only right when Web3Signer imports \
         it before it signs."
    )
    .default("false"),
);

option_table!(
    SQLITE_TO_POSTGRES_TABLE,
    Scope::SqliteToPostgres,
    SQLITE_FROM = file(&["from"], "SQLite file with the records."),
    POSTGRES_TO = postgres_url(
        &["to"],
        "Address of the PostgreSQL database that gets them: postgresql://<host>/<database>."
    ),
    TO_USERNAME = username(PLACES),
    TO_PASSWORD = password(PLACES),
    TO_PASSWORD_FILE = password_file(PLACES),
);

option_table!(
    POSTGRES_TO_SQLITE_TABLE,
    Scope::PostgresToSqlite,
    POSTGRES_FROM = postgres_url(
        &["from"],
        "Address of the PostgreSQL database with the records: postgresql://<host>/<database>."
    ),
    SQLITE_TO = file(&["to"], "SQLite file that gets them; made when there is none."),
    FROM_USERNAME = username(PLACES),
    FROM_PASSWORD = password(PLACES),
    FROM_PASSWORD_FILE = password_file(PLACES),
);
