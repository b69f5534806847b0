//! The objects that one run of `connect` works with.

use super::{args::ConnectArgs, input::Input, secret::Secret, settings::Settings};
use crate::{kibana_address::Address, session::Session};

/// One run of `connect`.
pub struct Connection<'a> {
    pub args: &'a ConnectArgs,
    pub input: &'a Input,
    pub session: &'a Session,
    pub settings: &'a Settings,
    pub secret: &'a Secret<'a>,
    pub account: Option<&'a str>,
    /// The address of Kibana, if it is known.
    pub kibana: Option<Address>,
}
