//! Access to AWS: the clients of one account and region, and the error that every service shares.

mod clients;
mod error;

pub use self::{
    clients::Aws,
    error::{Call, Error},
};
