//! The test harness that the integration tests and the soak use to run the product.
//!
//! A [`Function`] runs the real binary in its own process behind a Lambda Runtime API ([`Invocation`] → [`Outcome`])
//! and kills it as Lambda does. An [`Installation`] has its own namespace, table, secret, API keys and LastPass
//! simulator. Every outside call of its functions goes through a proxy and is counted in [`Calls`], where a [`Rule`]
//! can apply a [`Fault`]. [`compare_events`] and [`compare_snapshot`] report lost, doubled and mistimed records. A
//! [`Watch`] searches everything that the functions write, return and send for secrets, and fails the test if it finds
//! one.
//!
//! The harness shares no code with the product, so that neither can hide a misunderstanding of the other.

mod aws;
mod calls;
mod changes;
mod clock;
mod compare;
mod elasticsearch;
mod error;
mod function;
mod http;
mod installation;
mod node;
mod process;
mod proxy;
mod runtime_api;
mod secrecy;
mod serverless;
mod services;
mod snapshot;
mod tls;

pub use aws::Aws;
pub use calls::{Answer, Call, CallRecord, Calls, Fault, Gate, Moment, Rule, System};
pub use changes::compare_changes;
pub use compare::{Comparison, canonical, compare_events};
pub use elasticsearch::{ApiKey, Elasticsearch, IndexMode, StoredDocument};
pub use error::Error;
pub use function::{Function, Invocation, Outcome};
pub use hyper::Method;
pub use installation::{DATA_STREAMS, Installation, Plan, installer_role, writer_role};
pub use node::Node;
pub use process::{Killer, Output};
pub use secrecy::{Lock, Secrets, Watch};
pub use serverless::serverless_rules;
pub use services::{Services, binary, variable};
pub use snapshot::{compare_folders, compare_snapshot, compare_users};
pub use tls::{Authority, Greeting, TlsFront};

use serde_json::Value;

/// Returns the time of the machine's clock. Deadlines of invocations use this clock.
#[must_use]
pub fn now() -> jiff::Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place where the harness reads the clock")]
    jiff::Timestamp::now()
}

/// Returns one check from the response of `check`. `Null` if it is not there.
#[must_use]
pub fn check_of<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let mut checks = answer["checks"].as_array().into_iter().flatten();
    checks.find(|check| check["name"] == name).unwrap_or(&Value::Null)
}

/// Returns a unique name: `prefix_` and sixteen hexadecimal digits.
#[must_use]
pub fn unique(prefix: &str) -> String {
    format!("{prefix}_{:016x}", fastrand::u64(..))
}
