//! The outcome of a document.

use super::judge::Refusal;

/// The delivery of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was written by this request.
    Created,
    /// It, or its dead letter, existed already.
    AlreadyThere,
    /// It was rejected permanently, and its dead letter was written.
    DeadLetter,
}

/// The final outcome of a document: it was created or existed already, or it was rejected permanently.
pub(super) type Outcome = Result<Delivery, Refusal>;
