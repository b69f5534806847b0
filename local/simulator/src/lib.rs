//! A LastPass Enterprise API to test against.
