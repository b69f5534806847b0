//! Finds a deployed stack by its name, and reads its outputs.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::{
    Client,
    error::ProvideErrorMetadata as _,
    types::{self, StackStatus},
};

use crate::{
    aws::{self, Aws, Call},
    failure::{Error as CommandError, Failure},
};

const DESCRIBE: &str = "cloudformation:DescribeStacks";

/// The stack, its accounts and the AWS login of a command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Stack and login")]
pub struct StackOptions {
    /// Name of the CloudFormation stack
    #[arg(
        long = "stack",
        global = true,
        default_value = "lastpass",
        env = "LASTPASS_ELASTIC_STACK",
        value_name = "NAME"
    )]
    pub name: String,
    /// Name of an account, if the stack reads several; can be repeated
    #[arg(long = "account", global = true, value_name = "NAME")]
    pub accounts: Vec<String>,
    /// All accounts, if the stack reads several
    #[arg(long, global = true, conflicts_with = "accounts")]
    pub all_accounts: bool,
    /// AWS region of the stack; default: the region of the environment or the profile
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// Profile of ~/.aws/config to log in with
    #[arg(long, global = true, value_name = "PROFILE")]
    pub profile: Option<String>,
}

/// A deployed stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The stack's name.
    pub name: String,
    /// Output `FunctionName`.
    pub function_name: String,
    /// Output `BackfillStateMachineArn`.
    pub state_machine_arn: String,
    /// Output `Accounts`; `None` for a stack that reads one account.
    pub accounts: Option<Vec<String>>,
    /// Parameter `KmsKeyArn`, if it is set.
    pub kms_key_arn: Option<String>,
}

/// An unusable stack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No stack has this name.
    #[error(
        "there is no stack {name} in {region}{}: set its name with --stack, its region with --region or its login with --profile{}",
        of_account(.account), existing(.others)
    )]
    Missing { name: String, region: String, account: Option<String>, others: Vec<String> },
    /// The stack belongs to another program, or to an older version.
    #[error(
        "the stack {name} has no output {output}: it is not a lastpass-elastic stack, or its version is too old; deploy the current version (`sam deploy`), or name another stack with --stack"
    )]
    NotOurs { name: String, output: &'static str },
    /// The stack is not created yet, or its creation failed.
    #[error(
        "the stack {name} is {status}: see its events in the CloudFormation console, and try again once it is CREATE_COMPLETE or UPDATE_COMPLETE"
    )]
    NotReady { name: String, status: String },
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        match self {
            Self::Missing { .. } => "Stack.Missing",
            Self::NotOurs { .. } => "Stack.NotOurs",
            Self::NotReady { .. } => "Stack.NotReady",
        }
    }
}

fn of_account(account: &Option<String>) -> String {
    account.as_ref().map_or_else(String::new, |account| format!(" of AWS account {account}"))
}

fn existing(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; existing stacks: {}", others.join(", ")) }
}

const FUNCTION: &str = "FunctionName";
const STATE_MACHINE: &str = "BackfillStateMachineArn";
const ACCOUNTS: &str = "Accounts";
const KMS_KEY: &str = "KmsKeyArn";

impl Stack {
    /// Builds a stack that reads `accounts`.
    #[cfg(test)]
    pub fn of_accounts(accounts: Option<&[&str]>) -> Self {
        Self {
            name: "prod".to_owned(),
            function_name: "prod".to_owned(),
            state_machine_arn: "arn".to_owned(),
            accounts: accounts.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            kms_key_arn: None,
        }
    }

    /// Fetches the stack named `name`.
    ///
    /// # Errors
    /// [`Error`], [`aws::Error`].
    pub async fn fetch(aws: &Aws, name: &str) -> Result<Self, CommandError> {
        let found = match Client::new(aws.config()).describe_stacks().stack_name(name).send().await {
            Ok(response) => response.stacks.and_then(|stacks| stacks.into_iter().next()),
            // For a missing stack, CloudFormation returns a ValidationError, a code that it also uses for other errors.
            Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => None,
            Err(error) => return Err(aws::Error::new(&error, Call::new(DESCRIBE, name), aws.region()).into()),
        };
        let Some(stack) = found else {
            let (account, others) = (aws.fetch_account().await, Self::fetch_names(aws).await);
            return Err(
                Error::Missing { name: name.to_owned(), region: aws.region().to_owned(), account, others }.into()
            );
        };
        Ok(Self::read(name, &stack)?)
    }

    /// Fetches the names of the lastpass-elastic stacks on the first page of the list. None if the login may not list stacks: the
    /// names only add detail to the text of another error.
    async fn fetch_names(aws: &Aws) -> Vec<String> {
        let Ok(response) = Client::new(aws.config()).describe_stacks().send().await else { return Vec::new() };
        let ours = response.stacks().iter().filter(|stack| outputs(stack).contains_key(STATE_MACHINE));
        ours.filter_map(|stack| stack.stack_name.clone()).collect()
    }

    /// Reads the outputs of a stack.
    fn read(name: &str, stack: &types::Stack) -> Result<Self, Error> {
        let outputs = outputs(stack);
        let output = |output: &'static str| {
            outputs.get(output).cloned().ok_or_else(|| match &stack.stack_status {
                Some(status) if !is_deployed(status) => {
                    Error::NotReady { name: name.to_owned(), status: status.as_str().to_owned() }
                }
                Some(_) | None => Error::NotOurs { name: name.to_owned(), output },
            })
        };
        let accounts = outputs
            .get(ACCOUNTS)
            .map(|names| names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect());
        Ok(Self {
            name: name.to_owned(),
            function_name: output(FUNCTION)?,
            state_machine_arn: output(STATE_MACHINE)?,
            accounts,
            kms_key_arn: parameter(stack, KMS_KEY),
        })
    }
}

/// Returns whether a stack with this status has outputs.
fn is_deployed(status: &StackStatus) -> bool {
    status.as_str().ends_with("_COMPLETE")
        && !status.as_str().starts_with("DELETE")
        && *status != StackStatus::RollbackComplete
}

fn outputs(stack: &types::Stack) -> BTreeMap<String, String> {
    let pair = |output: &types::Output| Some((output.output_key.clone()?, output.output_value.clone()?));
    stack.outputs().iter().filter_map(pair).collect()
}

/// Returns the value of a parameter, unless it is empty.
fn parameter(stack: &types::Stack, name: &str) -> Option<String> {
    let parameter = stack.parameters().iter().find(|parameter| parameter.parameter_key() == Some(name))?;
    parameter.parameter_value().filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(status: StackStatus, outputs: &[(&str, &str)]) -> types::Stack {
        let output =
            |(key, value): &(&str, &str)| types::Output::builder().output_key(*key).output_value(*value).build();
        types::Stack::builder()
            .stack_name("prod")
            .creation_time(aws_sdk_cloudformation::primitives::DateTime::from_secs(0))
            .stack_status(status)
            .set_outputs(Some(outputs.iter().map(output).collect()))
            .build()
    }

    const OURS: [(&str, &str); 2] = [(FUNCTION, "prod-f"), (STATE_MACHINE, "arn:machine")];

    #[test]
    fn the_outputs_of_a_stack_are_read() {
        let one = Stack::read("prod", &stack(StackStatus::CreateComplete, &OURS)).expect("a stack");
        assert_eq!((one.function_name.as_str(), one.accounts), ("prod-f", None));
        let mut outputs = OURS.to_vec();
        outputs.push((ACCOUNTS, "acme, globex"));
        let several = Stack::read("prod", &stack(StackStatus::UpdateComplete, &outputs)).expect("a stack");
        assert_eq!(several.accounts, Some(vec!["acme".to_owned(), "globex".to_owned()]));
    }

    #[test]
    fn a_foreign_stack_and_an_unfinished_one_are_different_errors() {
        let other = Stack::read("prod", &stack(StackStatus::CreateComplete, &OURS[..1])).expect_err("foreign");
        assert!(other.to_string().contains("no output BackfillStateMachineArn"), "{other}");
        for status in [StackStatus::CreateInProgress, StackStatus::RollbackComplete, StackStatus::DeleteInProgress] {
            let error = Stack::read("prod", &stack(status, &[])).expect_err("not ready");
            assert_eq!(error.error_type(), "Stack.NotReady", "{error}");
        }
    }

    #[test]
    fn a_missing_stack_is_reported_with_the_existing_ones() {
        let missing = |others: &[&str]| Error::Missing {
            name: "lastpas".to_owned(),
            region: "eu-west-1".to_owned(),
            account: Some("123456789012".to_owned()),
            others: others.iter().map(|name| (*name).to_owned()).collect(),
        };
        let text = missing(&["lastpass"]).to_string();
        assert!(
            text.contains("eu-west-1 of AWS account 123456789012") && text.ends_with("; existing stacks: lastpass"),
            "{text}"
        );
        assert!(missing(&[]).to_string().ends_with("--profile"));
    }
}
