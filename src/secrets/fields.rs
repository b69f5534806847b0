//! The names of the fields of the document in the secret.

/// The value of each field in a new stack's secret until the credentials are stored. template.yaml uses the same text.
pub const PLACEHOLDER: &str = "REPLACE_ME";

pub(super) const ACCOUNT_NUMBER: &str = "account_number";
pub(super) const PROVISIONING_HASH: &str = "provisioning_hash";
pub(super) const ELASTIC_API_KEY: &str = "elastic_api_key";
pub(super) const ELASTIC_SETUP_API_KEY: &str = "elastic_setup_api_key";
pub(super) const NAMESPACE: &str = "namespace";
pub(super) const TIME_ZONE: &str = "time_zone";
pub(super) const USER_TIME_ZONE: &str = "user_time_zone";
pub(super) const ORGANIZATION_ID: &str = "organization_id";
pub(super) const ORGANIZATION_NAME: &str = "organization_name";
pub(super) const REQUIRED: [&str; 3] = [ACCOUNT_NUMBER, PROVISIONING_HASH, ELASTIC_API_KEY];
