//! Tries the credentials of LastPass.

use std::{convert::Infallible, ops::ControlFlow, time::Duration};

use jiff::{SignedDuration, Timestamp};
use lastpass_elastic::{clock::Deadline, collect::Preview, request::Window};

use super::error::Error;
use crate::output;

/// Longest time of the attempt with its retries. Chosen: somebody is waiting at the terminal.
const TIMEOUT: Duration = Duration::from_secs(40);
/// How far back events are requested. Chosen: LastPass checks the credentials first, so the range may be short.
const RANGE: SignedDuration = SignedDuration::from_secs(60);

/// Requests the events of the last minute, which proves the account number and the provisioning hash.
pub async fn prove(account: &Preview, now: Timestamp) -> Result<(), Error> {
    let window = Window { from: now - RANGE, to: now };
    account.events::<Infallible>(window, Deadline::after(TIMEOUT), |_| ControlFlow::Continue(())).await?;
    output::print_message("LastPass accepts the account number and the provisioning hash");
    Ok(())
}
