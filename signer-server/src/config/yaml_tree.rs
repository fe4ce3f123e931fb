//! YAML as a tree of texts.
//!
//! A YAML parser that is asked for "any" value guesses types: `0777` becomes an integer and `yes`
//! a boolean, and what stood in the file is lost. So the document is read twice: first with
//! guessing, to learn where lists, mappings and nulls are, then with every scalar read as the text
//! that stands in the file.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_saphyr::{Location, NonFiniteFloatPolicy, Options};

/// A value in a YAML document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing: `null`, `~` or no text at all.
    Null,
    /// A scalar as it stands in the file, without its quotes.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A mapping, in the order of the file.
    Map(Vec<(String, Self)>),
}

/// Why a text is not one YAML document. Never carries a value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum YamlError {
    /// A mapping has a key twice.
    #[error("line {line}, column {column}: duplicate key {key}")]
    DuplicateKey { line: u64, column: u64, key: String },
    /// The text holds several documents.
    #[error("line {line}, column {column}: a second YAML document begins")]
    SecondDocument { line: u64, column: u64 },
    /// Any other error.
    #[error("line {line}, column {column}: not valid YAML")]
    Syntax { line: u64, column: u64 },
}

impl From<serde_saphyr::Error> for YamlError {
    fn from(error: serde_saphyr::Error) -> Self {
        let location = error.location().unwrap_or(Location::UNKNOWN);
        let (line, column) = (location.line(), location.column());
        match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
                Self::DuplicateKey { line, column, key: key.clone() }
            }
            serde_saphyr::Error::MultipleDocuments { .. } => Self::SecondDocument { line, column },
            _ => Self::Syntax { line, column },
        }
    }
}

/// Parses one document.
pub(super) fn parse(text: &str) -> Result<Node, YamlError> {
    let shape: Shape = serde_saphyr::from_str_with_options(text, options())?;
    let node = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |yaml| {
        shape.deserialize(yaml)
    })?;
    Ok(node)
}

fn options() -> Options {
    serde_saphyr::options! {
        with_snippet: false,
        // Numbers that fit no float must not fail: they are read as text in the end.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    }
}

/// What kind of node stands where.
enum Shape {
    Null,
    Scalar,
    List(Vec<Self>),
    Map(Vec<Self>),
}

/// A mapping's key, read as text.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(shape) = list.next_element()? {
            shapes.push(shape);
        }
        Ok(Shape::List(shapes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(Key(_)) = map.next_key()? {
            shapes.push(map.next_value()?);
        }
        Ok(Shape::Map(shapes))
    }
}

/// Reads the node that has this shape.
impl<'de> DeserializeSeed<'de> for &Shape {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        match self {
            Shape::Null => IgnoredAny::deserialize(deserializer).map(|_| Node::Null),
            Shape::Scalar => String::deserialize(deserializer).map(Node::Text),
            Shape::List(shapes) => deserializer.deserialize_seq(ListVisitor(shapes)),
            Shape::Map(shapes) => deserializer.deserialize_map(MapVisitor(shapes)),
        }
    }
}

struct ListVisitor<'a>(&'a [Shape]);

impl<'de> Visitor<'de> for ListVisitor<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        for shape in self.0 {
            nodes.push(list.next_element_seed(shape)?.ok_or_else(changed)?);
        }
        match list.next_element::<IgnoredAny>()? {
            None => Ok(Node::List(nodes)),
            Some(_) => Err(changed()),
        }
    }
}

struct MapVisitor<'a>(&'a [Shape]);

impl<'de> Visitor<'de> for MapVisitor<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        for shape in self.0 {
            let Key(key) = map.next_key()?.ok_or_else(changed)?;
            entries.push((key, map.next_value_seed(shape)?));
        }
        match map.next_key::<Key>()? {
            None => Ok(Node::Map(entries)),
            Some(_) => Err(changed()),
        }
    }
}

/// Both readings see the same text, so this says that the parser is not deterministic.
fn changed<E: serde::de::Error>() -> E {
    E::custom("the two readings of the file differ")
}
