//! The dashboards and detection rules of this version. A release also contains these files, for manual import.

use serde_json::{Map, Value};

use super::error::Error;

/// The data view and the dashboards, as `make content` compiles them.
pub const DASHBOARDS: &str = include_str!("../../../dashboards/compiled/lastpass-dashboards.ndjson");
/// The detection rules, as `make content` compiles them.
pub const RULES: &str = include_str!("../../../detections/compiled/lastpass-rules.ndjson");
/// The digests of all values of all rules that were ever published: `scripts/published.py`.
pub const PUBLISHED: &str = include_str!("../../../detections/compiled/published.json");

/// Parses the lines of an NDJSON file.
///
/// # Errors
/// [`Error::Bundle`].
pub fn lines(text: &str) -> Result<Vec<Map<String, Value>>, Error> {
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_can_be_read() {
        assert!(lines(DASHBOARDS).expect("dashboards").len() > 1);
        let rules = lines(RULES).expect("rules");
        assert!(rules.iter().all(|rule| rule["rule_id"].is_string() && rule["enabled"] == Value::Bool(false)));
    }
}
