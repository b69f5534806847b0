//! The commands of the API.

use serde::{Deserialize, Serialize};

/// A command of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// `reporting`
    Reporting,
    /// `getuserdata`
    GetUserData,
    /// `getdetailedsfdata`
    GetDetailedSfData,
}

impl Command {
    /// Returns the command of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "reporting" => Some(Self::Reporting),
            "getuserdata" => Some(Self::GetUserData),
            "getdetailedsfdata" => Some(Self::GetDetailedSfData),
            _ => None,
        }
    }
}
