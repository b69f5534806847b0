//! Tables of plain fields: what an input becomes, and where it stands as well.

use serde_json::Value;

use super::{
    convert::{self, Type, WrongType},
    draft::Draft,
    path::Path,
    record::Fields,
    value::{FieldValue, broken},
};
use crate::text::Text;

/// A field of a record and what becomes of it.
pub(super) struct Field {
    input: &'static str,
    output: Path,
    how: How,
    copy: Option<Path>,
}

/// What is done with the value of a field.
enum How {
    Move,
    MoveList,
    Convert(Type),
}

impl Field {
    /// Taken over as it is, whatever its type.
    pub(super) const fn moved(input: &'static str, output: &str) -> Self {
        Self { input, output: Path::of(output), how: How::Move, copy: None }
    }

    /// Taken over as it is, but for a list in PHP's spelling of one with gaps: a map of positions
    /// (LASTPASS_API.md, "getdetailedsfdata"). The index would refuse the map.
    pub(super) const fn list(input: &'static str, output: &str) -> Self {
        Self { input, output: Path::of(output), how: How::MoveList, copy: None }
    }

    /// Taken over if it can be read as a `to`.
    pub(super) const fn converted(input: &'static str, output: &str, to: Type) -> Self {
        Self { input, output: Path::of(output), how: How::Convert(to), copy: None }
    }

    /// The same, with a copy in the ECS field `path`.
    pub(super) const fn copied_to(self, path: &str) -> Self {
        Self { copy: Some(Path::of(path)), ..self }
    }

    /// Its name in the record.
    pub(super) const fn input(&self) -> &'static str {
        self.input
    }

    /// Moves this field from `record` to `draft`.
    pub(super) fn apply<'r>(&self, record: &mut Fields<'r>, draft: &mut Draft<'r>) {
        let Some(value) = record.take(self.input) else {
            return;
        };
        if let FieldValue::Broken(_) = value {
            return draft.reject(broken(self.input));
        }
        let value = match self.how {
            How::Move => Some(value),
            How::MoveList => Some(without_positions(value)),
            How::Convert(to) => match convert::convert_field(value, to, draft.dates()) {
                Ok(value) => value,
                Err(WrongType) => {
                    return draft.reject(format!("{} is not {}", self.input, to.name()));
                }
            },
        };
        let Some(value) = value else { return };
        draft.put(self.output, value);
        if let Some(path) = self.copy {
            draft.copy(self.output, path);
        }
    }
}

/// The list that a map of positions spells; anything else as it is.
fn without_positions(value: FieldValue<'_>) -> FieldValue<'_> {
    let is_position = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    let FieldValue::Json(json) = value else { return value };
    match *json {
        Value::Object(map) if !map.is_empty() && map.keys().all(is_position) => {
            map.into_iter().map(|(_, value)| value).collect::<Value>().into()
        }
        other => other.into(),
    }
}

/// Moves all fields of `table`, in its order, from `record` to `draft`.
pub(super) fn apply<'r>(table: &[Field], record: &mut Fields<'r>, draft: &mut Draft<'r>) {
    for field in table {
        field.apply(record, draft);
    }
}

/// Sets `related.user` to the texts of the fields at `paths`, in that order.
pub(super) fn relate_users(paths: &[Path], draft: &mut Draft<'_>) {
    let mut users: Vec<Text<'_>> = Vec::new();
    for path in paths {
        match draft.get(*path).map_or(Ok(None), FieldValue::text) {
            Ok(user) => users.extend(user),
            Err(WrongType) => draft.reject(format!("{} is not a text, so related.user lacks it", path.as_str())),
        }
    }
    if !users.is_empty() {
        draft.put(const { Path::of("related.user") }, users);
    }
}
