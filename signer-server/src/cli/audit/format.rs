//! Rows as text: a table for people, JSON lines and CSV for programs.
//!
//! Clients choose some of the texts in a row. None of them may do anything to a terminal or to a
//! spreadsheet.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::Row;
use crate::{config::AuditFormat, telemetry::logs::escape};

/// Names of the columns of a CSV file.
const CSV_COLUMNS: [&str; 17] = [
    "id",
    "time",
    "instance",
    "client_address",
    "client_name",
    "client_fingerprint",
    "key",
    "identifier",
    "type",
    "slot",
    "epoch",
    "signing_root",
    "outcome",
    "reason",
    "queue_us",
    "database_us",
    "bls_us",
];

/// Writes rows in one form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer(pub(super) AuditFormat);

impl Printer {
    /// What stands before the first row.
    pub(super) fn begin(self, output: &mut impl Write) -> io::Result<()> {
        match self.0 {
            AuditFormat::Table => table_line(
                output,
                ["TIME", "OUTCOME", "TYPE", "SLOT OR EPOCH", "KEY", "CLIENT", "REASON"],
            ),
            AuditFormat::Json => Ok(()),
            AuditFormat::Csv => csv_line(output, &CSV_COLUMNS.map(Cow::Borrowed)),
        }
    }

    pub(super) fn row(self, row: &Row, output: &mut impl Write) -> io::Result<()> {
        match self.0 {
            AuditFormat::Table => table_row(row, output),
            AuditFormat::Json => {
                writeln!(output, "{}", escape::json(&serde_json::to_string(row)?))
            }
            AuditFormat::Csv => csv_line(output, &csv_cells(row)),
        }
    }
}

fn table_line(output: &mut impl Write, cells: [&str; 7]) -> io::Result<()> {
    let [time, outcome, duty_type, position, key, client, reason] = cells;
    let line = format!(
        "{time:<27}  {outcome:<11}  {duty_type:<22}  {position:<14}  {key:<19}  {client:<15}  {reason}"
    );
    writeln!(output, "{}", line.trim_end())
}

fn table_row(row: &Row, output: &mut impl Write) -> io::Result<()> {
    let position = match (&row.slot, &row.epoch) {
        (Some(slot), _) => format!("slot {slot}"),
        (None, Some(epoch)) => format!("epoch {epoch}"),
        (None, None) => String::new(),
    };
    let key = row.key.as_deref().or(row.identifier.as_deref()).unwrap_or_default();
    let client = row.client.name.as_deref().or(row.client.address.as_deref()).unwrap_or_default();
    table_line(
        output,
        [
            &escape::plain(&row.time),
            &escape::plain(&row.outcome),
            &escape::plain(row.duty_type.as_deref().unwrap_or_default()),
            &escape::plain(&position),
            &shortened(&escape::plain(key)),
            &escape::plain(client),
            &escape::plain(row.reason.as_deref().unwrap_or_default()),
        ],
    )
}

/// The begin and the end of a key, which tell keys apart.
fn shortened(key: &str) -> String {
    const BEGIN: usize = 10;
    const END: usize = 8;
    let characters: Vec<char> = key.chars().collect();
    if characters.len() <= BEGIN + END + 1 {
        return key.to_owned();
    }
    let (begin, end) = (&characters[..BEGIN], &characters[characters.len() - END..]);
    begin.iter().chain(&['…']).chain(end).collect()
}

fn csv_cells(row: &Row) -> [Cow<'_, str>; 17] {
    fn text(text: Option<&String>) -> Cow<'_, str> {
        text.map_or(Cow::Borrowed(""), |text| Cow::Borrowed(text))
    }
    let number =
        |number: Option<u64>| Cow::Owned(number.map(|n| n.to_string()).unwrap_or_default());
    [
        Cow::Owned(row.id.to_string()),
        Cow::Borrowed(&row.time),
        Cow::Borrowed(&row.instance),
        text(row.client.address.as_ref()),
        text(row.client.name.as_ref()),
        text(row.client.fingerprint.as_ref()),
        text(row.key.as_ref()),
        text(row.identifier.as_ref()),
        text(row.duty_type.as_ref()),
        text(row.slot.as_ref()),
        text(row.epoch.as_ref()),
        text(row.signing_root.as_ref()),
        Cow::Borrowed(&row.outcome),
        text(row.reason.as_ref()),
        number(row.queue_us),
        number(row.database_us),
        number(row.bls_us),
    ]
}

/// A record of RFC 4180.
fn csv_line(output: &mut impl Write, cells: &[Cow<'_, str>; 17]) -> io::Result<()> {
    for (position, cell) in cells.iter().enumerate() {
        if position > 0 {
            output.write_all(b",")?;
        }
        // A spreadsheet would compute such a cell; an apostrophe makes it text.
        let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "'" } else { "" };
        if cell.contains(['"', ',', '\r', '\n']) {
            write!(output, "\"{guard}{}\"", cell.replace('"', "\"\""))?;
        } else {
            write!(output, "{guard}{cell}")?;
        }
    }
    output.write_all(b"\r\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(identifier: &str, reason: &str) -> Row {
        serde_json::from_value(json!({
            "id": 7, "time": "2026-03-01T12:00:04.017000Z", "instance": "signer-1",
            "client": { "address": "10.0.0.7", "name": null, "fingerprint": null },
            "key": null, "identifier": identifier, "type": "ATTESTATION", "slot": "12",
            "epoch": null, "signing_root": null, "outcome": "refused", "reason": reason,
            "queue_us": null, "database_us": 5, "bls_us": null,
        }))
        .unwrap()
    }

    fn printed(format: AuditFormat, row: &Row) -> String {
        let mut output = Vec::new();
        Printer(format).row(row, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn csv_keeps_every_text_in_its_cell_and_no_cell_is_a_formula() {
        let line = printed(AuditFormat::Csv, &row("=cmd|'/C calc'!A0", "say \"no\", twice\r\n"));
        assert_eq!(
            line,
            "7,2026-03-01T12:00:04.017000Z,signer-1,10.0.0.7,,,,'=cmd|'/C calc'!A0,ATTESTATION,12,\
             ,,refused,\"say \"\"no\"\", twice\r\n\",,5,\r\n"
        );
        for formula in ["=1", "+1", "-1", "@A1", "\t=1", "\r=1"] {
            let line = printed(AuditFormat::Csv, &row(formula, ""));
            assert!(line.contains(&format!("'{formula}")), "{line}");
        }
    }

    #[test]
    fn table_has_one_line_for_each_row_whatever_a_client_sends() {
        let line = printed(AuditFormat::Table, &row("\u{1b}[2J\n", "a\u{202e}b\u{7}"));
        assert_eq!(line.lines().count(), 1);
        assert!(!line.trim_end().contains(|c: char| c.is_control()), "{line:?}");
        assert!(line.contains(r"a\u{202e}b\u{7}"), "{line}");
        assert!(line.contains("slot 12"), "{line}");
    }

    #[test]
    fn long_keys_are_shortened_in_the_table_only() {
        let key = format!("0x{}", "ab".repeat(48));
        let row = Row { key: Some(key.clone()), ..row("", "") };
        assert!(printed(AuditFormat::Table, &row).contains("0xabababab…abababab"));
        assert!(printed(AuditFormat::Csv, &row).contains(&key));
        let json: serde_json::Value =
            serde_json::from_str(&printed(AuditFormat::Json, &row)).unwrap();
        assert_eq!((json["key"].as_str(), json["database_us"].as_u64()), (Some(&*key), Some(5)));
    }
}
