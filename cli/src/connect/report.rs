//! The result of `connect`.

use lastpass_elastic::document::Namespace;
use serde_json::{Value, json};

use super::kibana;
use crate::{
    check_page,
    exit::Exit,
    kibana_address::Address,
    output::{self, Format},
    paint, payload,
    render::render_runs,
};

/// The changes that `connect` made, and the state after them.
pub struct Report<'a> {
    pub stack: &'a str,
    pub account: Option<&'a str>,
    /// The changes, as texts.
    pub changed: Vec<String>,
    /// The answer to `check`.
    pub check: Value,
    /// The answers of the first runs.
    pub runs: Vec<Value>,
    /// The answer to `status` after them.
    pub status: Value,
    /// The address of Kibana, if it is known.
    pub kibana: Option<Address>,
    /// The namespace of the data streams.
    pub namespace: Namespace,
    /// Whether the schedules read the account.
    pub is_scheduled: bool,
}

impl Report<'_> {
    /// Prints the report.
    ///
    /// # Errors
    /// [`output::Error`].
    pub fn print(&self, format: Format) -> Result<Exit, output::Error> {
        let exit = self.exit();
        match format {
            Format::Json => output::print_line(&self.document().to_string())?,
            Format::Table => output::print_line(&self.page())?,
        };
        Ok(exit)
    }

    fn exit(&self) -> Exit {
        let of_run = |run: &Value| match run["reason"].as_str() {
            _ if !run["error"].is_null() => Exit::Failed,
            // A scheduled run is already reading the stream.
            Some("lease_held") => Exit::Done,
            _ => Exit::of_answer(run),
        };
        self.runs.iter().map(of_run).fold(Exit::of_answer(&self.check), Exit::max)
    }

    /// Returns the link to the documents in Kibana.
    fn discover(&self) -> Option<String> {
        self.kibana.as_ref().map(|address| kibana::discover_url(address, &self.namespace))
    }

    fn document(&self) -> Value {
        let document = json!({
            "action": "connect", "status": if self.exit() == Exit::Failed { "failed" } else { "connected" },
            "changed": self.changed, "check": self.check, "runs": self.runs, "discover": self.discover(),
        });
        payload::with_account(&document, self.account)
    }

    fn page(&self) -> String {
        let mut parts = vec![check_page::render(&self.check, Some(&self.status), self.stack)];
        if !self.runs.is_empty() {
            let runs = render_runs(&self.runs, output::width(&std::io::stdout()));
            parts.push(paint::table(&runs, "status"));
        }
        if !self.changed.is_empty() {
            parts.push(format!("changed: {}", self.changed.join("; ")));
        }
        if !self.is_scheduled {
            parts.push(format!(
                "the schedules do not read {}: add it to the parameter Accounts of the stack, and deploy",
                self.account.unwrap_or_default()
            ));
        }
        if Exit::of_answer(&self.check) == Exit::Done {
            parts.push(match self.discover() {
                Some(url) => format!("the documents in Kibana: {url}"),
                None => format!(
                    "the documents are in Kibana under Discover, with the data view {} (--kibana URL shows a link)",
                    kibana::data_streams(&self.namespace)
                ),
            });
            parts.push(format!(
                "to install the dashboards and detection rules: lastpass-elastic content install --kibana {}",
                self.kibana.as_ref().map_or_else(|| "URL".to_owned(), Address::space_url)
            ));
        }
        parts.join("\n\n")
    }
}
