//! Remembers the results of the rules for each action, because many events have few different actions.

use std::{collections::HashMap, sync::Arc};

use serde_json::value::RawValue;

use super::{
    actions::{Category, Classification, EventType, classify},
    data::{Row, rows},
    ecs::{Constants, EventFields},
    logins::{Login, login},
    targets::{Targets, targets},
    value::to_raw,
};
use crate::text::Text;

/// Maximum number of actions that are remembered. Chosen: LastPass has about a hundred actions, and invented ones must
/// not fill the memory.
const MAX_ACTIONS: usize = 1_000;

/// The results of the rules for an action.
pub(super) struct Action {
    /// The action in lower case.
    pub(super) lower_case: String,
    /// The rules for the `Data` of its events.
    pub(super) rows: Vec<&'static Row>,
    /// How the type of its events is determined, if they are logins.
    pub(super) login: Option<Login>,
    /// Which addresses in `Data` are targets. `None` if its events have no targets.
    pub(super) targets: Option<Targets>,
    classification: Classification,
    /// The `event` of its documents as JSON.
    event: Option<Box<RawValue>>,
}

impl Action {
    /// Applies the rules to an action, which is spelled as in the record.
    fn new(action: &str, constants: &Constants<'_>, timezone: &str) -> Self {
        let lower_case = action.to_lowercase();
        let mut action = Self {
            rows: rows(&lower_case),
            login: login(&lower_case),
            targets: targets(&lower_case),
            classification: classify(&lower_case),
            event: None,
            lower_case,
        };
        let mut event = EventFields::new(constants);
        action.describe(&mut event, timezone);
        action.event = Some(to_raw(&event));
        action
    }

    /// Sets the fields of `event` that are the same for all events with this action.
    pub(super) fn describe<'r>(&'r self, event: &mut EventFields<'r>, timezone: &'r str) {
        if !self.lower_case.is_empty() {
            event.action = Some(Text::from(self.lower_case.as_str()).into());
        }
        let Classification { category, event_type, outcome } = self.classification;
        event.category = category.map_or(&[], Category::words);
        event.r#type = event_type.map_or(&[], EventType::words);
        event.outcome = outcome;
        event.timezone = Some(timezone);
        event.json = self.event.as_deref();
    }
}

/// The results for each action, by the action as it is spelled in the record.
#[derive(Default)]
pub(super) struct ActionCache(HashMap<String, Arc<Action>>);

impl ActionCache {
    /// Returns the results for an action. `constants` and `timezone` must always be the same.
    pub(super) fn get(&mut self, action: &str, constants: &Constants<'_>, timezone: &str) -> Arc<Action> {
        if let Some(known) = self.0.get(action) {
            return Arc::clone(known);
        }
        if self.0.len() >= MAX_ACTIONS {
            self.0.clear();
        }
        let new = Arc::new(Action::new(action, constants, timezone));
        self.0.insert(action.to_owned(), Arc::clone(&new));
        new
    }
}
