//! Reading what may be absent, `null`, or there in two shapes.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Metadata;

/// The default for `null`.
pub fn or_default<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// An id, or an object of which only the id counts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expandable {
    Id(String),
    Object { id: String },
}

/// The id of something that may be expanded.
pub fn reference<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let expandable = Option::<Expandable>::deserialize(from)?;
    Ok(expandable.map(|it| match it {
        Expandable::Id(id) | Expandable::Object { id } => id,
    }))
}

/// Names and values; a value that is no text is its JSON.
pub fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<Metadata, D::Error> {
    let Value::Object(fields) = Value::deserialize(from)? else { return Ok(Metadata::new()) };
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(fields.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// True for anything but `null` and `false`.
pub fn is_there<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(!matches!(value, Value::Null | Value::Bool(false)))
}

/// Stripe's list, of which only the rows count.
#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    data: Vec<T>,
}

/// The rows of a list that may be absent.
pub fn list<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<List<T>>::deserialize(from)?.map(|list| list.data).unwrap_or_default())
}
