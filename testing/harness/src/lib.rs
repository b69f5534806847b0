//! What the tests and the soak run the product with.
//!
//! A [`Function`] is the real binary, a process of its own, started and asked by a Lambda Runtime API ([`Invocation`] →
//! [`Outcome`]) and killed as hard as Lambda kills. An [`Installation`] is all that one needs: a namespace, a table, a
//! secret, API keys and a LastPass simulator that nobody else uses. Every outside call of its functions goes through a
//! proxy and is counted in [`Calls`], where a [`Rule`] can have it meet a [`Fault`]. [`compare_events`] and
//! [`compare_snapshot`] tell afterwards what was lost, doubled or mistimed. A [`Watch`] looks at all that the functions
//! write, answer and send for secrets where none may be, and fails the test that finds one.
//!
//! It shares no code with the product: neither can hide a misunderstanding of the other.

mod aws;
mod calls;
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
pub use compare::{Comparison, canonical, compare_events};
pub use elasticsearch::{ApiKey, Elasticsearch, IndexMode, StoredDocument};
pub use error::Error;
pub use function::{Function, Invocation, Outcome};
pub use hyper::Method;
pub use installation::{Installation, Plan};
pub use node::Node;
pub use process::{Killer, Output};
pub use secrecy::{Lock, Secrets, Watch};
pub use serverless::serverless_rules;
pub use services::{Services, binary, variable};
pub use snapshot::{compare_folders, compare_snapshot, compare_users};
pub use tls::{Authority, Greeting, TlsFront};

/// The clock. Deadlines of invocations are instants of it.
#[must_use]
pub fn now() -> jiff::Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place where the harness reads the clock")]
    jiff::Timestamp::now()
}

/// A name that nothing else has: `prefix_` and sixteen hexadecimal digits.
#[must_use]
pub fn unique(prefix: &str) -> String {
    format!("{prefix}_{:016x}", fastrand::u64(..))
}
