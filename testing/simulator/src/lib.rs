//! A simulator of the LastPass Enterprise API for tests.
//!
//! It holds one account ([`World`]), serves it over HTTP as LastPass documents ([`Quirks`] switch every point that the
//! documentation leaves open), fails on request ([`FaultRule`]), and reports its content and the requests it received.
//! Its wire format follows only LastPass's documentation and shares no code with the collector, so that the two cannot
//! share a misunderstanding.
//!
//! ```
//! use lastpass_simulator::{CompanySize, Quirks, Simulator, World};
//!
//! let size = CompanySize { events: 100, ..CompanySize::default() };
//! let end = "2025-07-01T00:00:00Z".parse()?;
//! let simulator = Simulator::start(World::company(1, &size, end), Quirks::default())?;
//! assert!(simulator.url().ends_with("/enterpriseapi.php"));
//! assert_eq!(simulator.truth_events().len(), 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod actions;
mod admin;
mod answer;
mod clock;
mod command;
mod company;
mod entries;
mod event;
mod faults;
mod folders;
mod history;
mod json;
mod local_time;
mod quirks;
mod reporting;
mod requests;
mod rng;
mod server;
mod service;
mod shared_state;
mod simulator;
mod staff;
mod timeline;
mod truth;
mod turnover;
mod user_dates;
mod users;
mod wire;
mod world;

pub use clock::Clock;
pub use command::Command;
pub use company::CompanySize;
pub use entries::Entries;
pub use event::Event;
pub use faults::{Fault, FaultRule, Trigger};
pub use quirks::{
    Bound, EmptyValue, ErrorForm, ErrorKey, EventData, FolderPaging, NextIs, Order, PagesCounted, Pass, Quirks,
    Repeats, UnauthorizedForm,
};
pub use requests::{Answered, RequestRecord};
pub use simulator::{Simulator, StartError};
pub use timeline::Timeline;
pub use truth::TruthEvent;
pub use turnover::Happening;
pub use users::USER_PASSWORD;
pub use world::{ProvisioningHash, World, folder_users};
