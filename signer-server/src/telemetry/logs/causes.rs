//! Errors as one line of text.

use std::error::Error;

/// An error with its causes, joined by colons. Many errors end with the text of their cause; it is
/// not said again.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("can't write")]
        Silent(#[source] io::Error),
        #[error("can't write: {0}")]
        Talkative(#[source] io::Error),
        #[error("can't start: {0}")]
        Above(#[source] Box<Self>),
    }

    #[test]
    fn every_cause_is_said_once() {
        let cause = || io::Error::other("disk full");
        let above = |layer| Layer::Above(Box::new(layer));
        assert_eq!(with_causes(&cause()), "disk full");
        assert_eq!(with_causes(&Layer::Silent(cause())), "can't write: disk full");
        assert_eq!(with_causes(&Layer::Talkative(cause())), "can't write: disk full");
        let expected = "can't start: can't write: disk full";
        assert_eq!(with_causes(&above(Layer::Silent(cause()))), expected);
        assert_eq!(with_causes(&above(Layer::Talkative(cause()))), expected);
    }
}
