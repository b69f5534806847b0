//! The AWS emulator: the tables and secrets of one installation.

use std::collections::BTreeMap;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};

use crate::{Error, variable};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Clients for the emulator, and the environment variables with which a function reaches it.
#[derive(Debug, Clone)]
pub struct Aws {
    endpoint: String,
    dynamodb: aws_sdk_dynamodb::Client,
    secrets_manager: aws_sdk_secretsmanager::Client,
}

impl Aws {
    /// Creates clients with the credentials of the environment.
    pub(crate) async fn new(endpoint: String) -> Self {
        let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
        Self {
            endpoint,
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            secrets_manager: aws_sdk_secretsmanager::Client::new(&config),
        }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the variables that a function needs to call the emulator at `endpoint`, with role credentials as Lambda
    /// sets them.
    pub(crate) fn variables(endpoint: &str) -> BTreeMap<String, String> {
        let passed = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let mut variables: BTreeMap<String, String> =
            passed.into_iter().filter_map(|name| Some((name.to_owned(), variable(name)?))).collect();
        variables.insert("AWS_ENDPOINT_URL".to_owned(), endpoint.to_owned());
        variables
    }

    /// Creates a table as `template.yaml` does.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn create_table(&self, name: &str) -> Result<(), Error> {
        let failed = |error: Cause| Error::Aws("CreateTable", error);
        let attribute = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash);
        self.dynamodb
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute.build().map_err(|error| failed(error.into()))?)
            .key_schema(key.build().map_err(|error| failed(error.into()))?)
            .send()
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(())
    }

    /// Returns all items of a table by partition key. Tests use it to prove that nothing changed.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn items(&self, table: &str) -> Result<BTreeMap<String, BTreeMap<String, AttributeValue>>, Error> {
        let scan = self.dynamodb.scan().table_name(table).consistent_read(true).send().await;
        let items = scan.map_err(|error| Error::Aws("Scan", error.into()))?.items.unwrap_or_default();
        Ok(items
            .into_iter()
            .map(|item| {
                let key = item.get("pk").and_then(|pk| pk.as_s().ok()).cloned().unwrap_or_default();
                (key, item.into_iter().collect())
            })
            .collect())
    }

    /// Returns one attribute of one item, if it is text.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn text(&self, table: &str, pk: &str, attribute: &str) -> Result<Option<String>, Error> {
        let items = self.items(table).await?;
        Ok(items.get(pk).and_then(|item| item.get(attribute)?.as_s().ok().cloned()))
    }

    /// Sets one attribute of one item without any condition.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn set_attribute(&self, table: &str, pk: &str, path: &str, value: AttributeValue) -> Result<(), Error> {
        let mut request = self.dynamodb.update_item().table_name(table).key("pk", AttributeValue::S(pk.to_owned()));
        let mut names = Vec::new();
        for (index, part) in path.split('.').enumerate() {
            request = request.expression_attribute_names(format!("#p{index}"), part);
            names.push(format!("#p{index}"));
        }
        let set = request
            .update_expression(format!("SET {} = :value", names.join(".")))
            .expression_attribute_values(":value", value)
            .send()
            .await;
        set.map_err(|error| Error::Aws("UpdateItem", error.into()))?;
        Ok(())
    }

    /// Creates a secret and returns its ARN.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn create_secret(&self, name: &str, value: &str) -> Result<String, Error> {
        let created = self.secrets_manager.create_secret().name(name).secret_string(value).send().await;
        let arn = created.map_err(|error| Error::Aws("CreateSecret", error.into()))?.arn;
        arn.ok_or_else(|| Error::Answer("the emulator created a secret without an ARN".to_owned()))
    }

    /// Replaces the value of a secret.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn put_secret(&self, arn: &str, value: &str) -> Result<(), Error> {
        let put = self.secrets_manager.put_secret_value().secret_id(arn).secret_string(value).send().await;
        put.map_err(|error| Error::Aws("PutSecretValue", error.into()))?;
        Ok(())
    }

    /// Deletes one item.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn delete_item(&self, table: &str, pk: &str) -> Result<(), Error> {
        let key = AttributeValue::S(pk.to_owned());
        let deleted = self.dynamodb.delete_item().table_name(table).key("pk", key).send().await;
        deleted.map(drop).map_err(|error| Error::Aws("DeleteItem", error.into()))
    }

    /// Deletes a table with all its items.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn delete_table(&self, name: &str) -> Result<(), Error> {
        let deleted = self.dynamodb.delete_table().table_name(name).send().await;
        deleted.map(drop).map_err(|error| Error::Aws("DeleteTable", error.into()))
    }

    /// Deletes a secret immediately.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn delete_secret(&self, arn: &str) -> Result<(), Error> {
        let deleted =
            self.secrets_manager.delete_secret().secret_id(arn).force_delete_without_recovery(true).send().await;
        deleted.map(drop).map_err(|error| Error::Aws("DeleteSecret", error.into()))
    }
}
