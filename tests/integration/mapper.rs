//! The settings with which the tests and the bench map records.

use lastpass_elastic::{
    document::{AccountNumber, Namespace, Organization},
    lastpass::time::ApiZone,
    streams::Mapper,
};

/// Returns the default settings.
pub(crate) fn plain_mapper() -> Mapper {
    Mapper {
        account: AccountNumber::new("12345").expect("an account number"),
        organization: Organization::default(),
        namespace: Namespace::new("default").expect("a namespace"),
        zone: ApiZone::new("US/Eastern").expect("a zone"),
        user_zone: ApiZone::new("UTC").expect("a zone"),
        tags: Vec::new(),
        preserve_original_event: false,
        preserve_duplicate_custom_fields: false,
    }
}
