//! The log of the library, read.

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Puts bytes into a file.
    Write,
    /// Waits until a file is on disk.
    Sync,
    /// Changes the length of a file.
    Cut,
    /// Removes a file.
    Remove,
    /// Gives a file this name.
    Rename,
    /// Sends bytes over a TCP connection.
    Send,
    /// No call: the process was ended here.
    Killed,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Write, Self::Sync, Self::Cut, Self::Remove, Self::Rename, Self::Send, Self::Killed];

    /// The library's word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Cut => "cut",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Send => "send",
            Self::Killed => "killed",
        }
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it does.
    pub kind: Kind,
    /// The name of its file, or `own port>other's port` of its connection.
    pub on: String,
    /// What was written or sent, where that is kept.
    pub bytes: Vec<u8>,
}

impl Record {
    /// Whether these bytes are among what was written or sent.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.bytes.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// Reads a log: `kind length on\n`, as many bytes, `\n`, and so on. A last record that is not whole
/// is left out: its writer was killed, or is still at it.
pub(super) fn read(log: &[u8]) -> Vec<Record> {
    let (mut records, mut rest) = (Vec::new(), log);
    while let Some((record, left)) = first(rest) {
        records.push(record);
        rest = left;
    }
    records
}

fn first(log: &[u8]) -> Option<(Record, &[u8])> {
    let end = log.iter().position(|&byte| byte == b'\n')?;
    let (head, rest) = (std::str::from_utf8(&log[..end]).ok()?, &log[end + 1..]);
    let mut words = head.splitn(3, ' ');
    let word = words.next()?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == word)?;
    let length: usize = words.next()?.parse().ok()?;
    let on = words.next()?.to_owned();
    let bytes = rest.get(..length)?.to_owned();
    Some((Record { kind, on, bytes }, rest.get(length + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_kind_are_read_and_half_a_record_is_left_out() {
        let log = b"write 4 a-wal\n\n1 \n\nsync 0 a-wal\n\nkilled 0 send 80>9\n\nwrite 9 b\nhal";
        let records = read(log);
        let kinds: Vec<_> = records.iter().map(|record| record.kind).collect();
        assert_eq!(kinds, [Kind::Write, Kind::Sync, Kind::Killed]);
        assert_eq!(records[0].bytes, b"\n1 \n");
        assert!(records[0].holds(b"1 ") && !records[0].holds(b"11"));
        assert_eq!(records[2].on, "send 80>9");
    }
}
