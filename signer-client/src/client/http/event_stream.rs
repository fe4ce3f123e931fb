//! Server-sent events taken apart (WHATWG HTML, section 9.2.6). Pure: bytes in, events out.

/// Most bytes of one event: the whole job is the data of the last one.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawEvent {
    /// The last `id` that came so far.
    pub(super) id: String,
    /// The name; `message` if it says none.
    pub(super) name: String,
    /// The lines of its data.
    pub(super) data: String,
}

/// An event is too large, or not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoEvent;

/// Reads events from bytes that come in any portions.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    line: Vec<u8>,
    /// The last line ended by a carriage return, to which a line feed may belong.
    after_return: bool,
    id: String,
    name: String,
    data: Option<String>,
}

impl EventReader {
    /// The events that end in these bytes. An event that is cut off is none.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Vec<RawEvent>, NoEvent> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some((first, behind)) = rest.split_first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                rest = behind;
                continue;
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.keep(rest)?;
                break;
            };
            self.keep(&rest[..end])?;
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.line_ended()?);
        }
        Ok(events)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), NoEvent> {
        let data = self.data.as_ref().map_or(0, String::len);
        if self.line.len() + bytes.len() + data > MAX_EVENT_BYTES {
            return Err(NoEvent);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line_ended(&mut self) -> Result<Option<RawEvent>, NoEvent> {
        let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| NoEvent)?;
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let name = if name.is_empty() { "message".to_owned() } else { name };
            // What has no data is no event.
            return Ok(self.data.take().map(|data| RawEvent { id: self.id.clone(), name, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            // A comment, `retry`, or what a later version says.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\u{e4}: not a field\n: a comment\nid: 7\nevent: group\ndata: {\"a\":\ndata:1}\n\n\
                        data\n\nevent: nothing\nretry: 5\n\nid:8\nevent:done\ndata:  x: y\n\ndata: cut";

    fn event(id: &str, name: &str, data: &str) -> RawEvent {
        RawEvent { id: id.to_owned(), name: name.to_owned(), data: data.to_owned() }
    }

    fn expected() -> Vec<RawEvent> {
        vec![
            event("7", "group", "{\"a\":\n1}"),
            event("7", "message", ""),
            event("8", "done", " x: y"),
        ]
    }

    #[test]
    fn events_are_the_same_however_they_are_cut_and_their_lines_end() {
        for text in [TEXT.to_owned(), TEXT.replace('\n', "\r\n"), TEXT.replace('\n', "\r")] {
            for size in 1..=text.len() {
                let mut reader = EventReader::default();
                let portions = text.as_bytes().chunks(size);
                let events: Vec<_> = portions.flat_map(|it| reader.read(it).unwrap()).collect();
                assert_eq!(events, expected(), "{size}");
            }
        }
    }

    #[test]
    fn what_is_no_text_or_has_no_end_is_refused() {
        assert_eq!(EventReader::default().read(b"data: \xff\n"), Err(NoEvent));
        let mut reader = EventReader::default();
        let portion = vec![b'x'; MAX_EVENT_BYTES / 2];
        assert_eq!(reader.read(&portion), Ok(vec![]));
        assert_eq!(reader.read(&portion), Ok(vec![]));
        assert_eq!(reader.read(b"x"), Err(NoEvent));
        let mut reader = EventReader::default();
        let line = [b"data:".as_slice(), &portion, b"\n"].concat();
        assert_eq!(reader.read(&line), Ok(vec![]));
        assert_eq!(reader.read(&line), Err(NoEvent));
    }
}
