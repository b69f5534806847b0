//! The rights of a user in a shared folder.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::fields::flag;

/// The rights of a user in a folder. Each has its name, and the value that allows more.
const RIGHTS: [(&str, bool); 4] =
    [("read_only", false), ("give", true), ("can_administer", true), ("super_admin", true)];

/// `lastpass.change.rights`: what a user may do in a folder, in the order of `RIGHTS`. `None` if it is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights(pub(super) [Option<bool>; RIGHTS.len()]);

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(RIGHTS.iter().zip(self.0).filter_map(|((name, _), value)| Some((name, value?))))
    }
}

impl Rights {
    pub(super) fn of(source: &Value) -> Self {
        Self(RIGHTS.map(|(name, _)| flag(source, &format!("/lastpass/detailed_shared_folder/user/{name}"))))
    }

    /// Returns the rights of a user whom LastPass lists twice in a folder: all that either entry gives.
    pub(super) fn with(self, other: Self) -> Self {
        Self(std::array::from_fn(|right| match (self.0[right], other.0[right]) {
            (Some(one), Some(other)) if one != other => Some(RIGHTS[right].1),
            (one, other) => one.or(other),
        }))
    }

    /// Names the rights that are known in both snapshots and differ.
    pub(super) fn changed(self, current: Self) -> Vec<&'static str> {
        let values = RIGHTS.iter().zip(self.0.into_iter().zip(current.0));
        let differing = values.filter(|(_, (before, after))| before.is_some() && after.is_some() && before != after);
        differing.map(|((name, _), _)| *name).collect()
    }
}
