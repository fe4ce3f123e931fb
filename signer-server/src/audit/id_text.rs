//! Ids of audit rows in JSON: decimal strings, because those of a shared database are beyond 2^53,
//! where JavaScript rounds. Earlier versions wrote numbers, which are read, too.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// An id on its way into or out of JSON.
#[derive(Clone, Copy, Debug)]
struct Id(i64);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(i64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(id) => Ok(Self(id)),
            Form::Text(text) => {
                text.parse().map(Self).map_err(|_| D::Error::custom(format!("{text:?} is no id")))
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
pub(crate) fn serialize<S: Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    Id(*id).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Id::deserialize(deserializer).map(|id| id.0)
}

/// The same for an id that may be absent.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, Id, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(
        id: &Option<i64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        id.map(Id).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<i64>, D::Error> {
        Ok(Option::<Id>::deserialize(deserializer)?.map(|id| id.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Page {
        #[serde(with = "super")]
        id: i64,
        #[serde(with = "super::optional")]
        next: Option<i64>,
    }

    #[test]
    fn ids_are_written_as_text_and_read_in_both_forms() {
        let page = Page { id: i64::MAX, next: Some(1) };
        let text = json!({ "id": "9223372036854775807", "next": "1" });
        assert_eq!(serde_json::to_value(&page).unwrap(), text);
        let end = json!({ "id": "5", "next": null });
        assert_eq!(serde_json::to_value(Page { id: 5, next: None }).unwrap(), end);
        for form in [text, json!({ "id": i64::MAX, "next": 1 })] {
            assert_eq!(serde_json::from_value::<Page>(form).unwrap(), page);
        }
        for bad in ["", "1.5", "-", "many"] {
            let error = serde_json::from_value::<Page>(json!({ "id": bad, "next": null }));
            assert!(error.unwrap_err().to_string().contains("is no id"), "{bad}");
        }
    }
}
