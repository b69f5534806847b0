//! A deployed stack, found by its name.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::{
    error::ProvideErrorMetadata as _,
    types::{self, StackStatus},
};

use crate::aws::{Aws, Call, Fault};

const DESCRIBE: &str = "cloudformation:DescribeStacks";

/// Where the parts of a stack are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Output `FunctionName`.
    pub function_name: String,
    /// Output `BackfillStateMachineArn`.
    pub state_machine: String,
    /// Output `Accounts`; none of a stack that reads one account.
    pub accounts: Option<Vec<String>>,
}

/// Why a stack can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none of that name.
    #[error(
        "there is no stack {name} in {region}{}: name it with --stack, and its region with --region or its login with --profile{}",
        of_account(.account), listed(.others)
    )]
    Missing {
        /// The name.
        name: String,
        /// Where it was looked for.
        region: String,
        /// The AWS account, where it is known.
        account: Option<String>,
        /// The stacks of lastpass-elastic that there are.
        others: Vec<String>,
    },
    /// It is another program's, or of an older version.
    #[error(
        "the stack {name} has no output {output}: it is not one of lastpass-elastic, or of an older version; deploy the current one (`sam deploy`), or name another with --stack"
    )]
    NotOurs {
        /// The name.
        name: String,
        /// What it lacks.
        output: &'static str,
    },
    /// It is being made, or was never made.
    #[error(
        "the stack {name} is {status}: see its events in the CloudFormation console; once it is CREATE_COMPLETE or UPDATE_COMPLETE, try again"
    )]
    NotReady {
        /// The name.
        name: String,
        /// CloudFormation's word.
        status: String,
    },
}

impl Error {
    /// Its stable name.
    pub const fn error_type(&self) -> &'static str {
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

fn listed(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; there is {}", others.join(", ")) }
}

const FUNCTION: &str = "FunctionName";
const STATE_MACHINE: &str = "BackfillStateMachineArn";
const ACCOUNTS: &str = "Accounts";

impl Stack {
    /// Looks the stack up.
    ///
    /// # Errors
    /// [`Error`], [`Fault`].
    pub async fn find(aws: &Aws, name: &str) -> Result<Self, crate::error::Error> {
        let client = aws.cloudformation();
        let found = match client.describe_stacks().stack_name(name).send().await {
            Ok(answer) => answer.stacks.unwrap_or_default().into_iter().next(),
            Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => None,
            Err(error) => return Err(Fault::of(&error, Call::new(DESCRIBE, name), aws.region()).into()),
        };
        match found {
            Some(stack) => Ok(Self::read(name, &stack)?),
            None => {
                let (account, others) = (aws.account().await, Self::others(aws).await);
                let (name, region) = (name.to_owned(), aws.region().to_owned());
                Err(Error::Missing { name, region, account, others }.into())
            }
        }
    }

    /// The names of the stacks that are ours, where they may be listed.
    async fn others(aws: &Aws) -> Vec<String> {
        let Ok(all) = aws.cloudformation().describe_stacks().send().await else { return Vec::new() };
        let stacks = all.stacks.unwrap_or_default();
        let ours = stacks.iter().filter(|stack| outputs(stack).contains_key(STATE_MACHINE));
        ours.filter_map(|stack| stack.stack_name.clone()).collect()
    }

    fn read(name: &str, stack: &types::Stack) -> Result<Self, Error> {
        let outputs = outputs(stack);
        let output = |output: &'static str| {
            outputs.get(output).cloned().ok_or_else(|| match &stack.stack_status {
                Some(status) if !is_made(status) => {
                    Error::NotReady { name: name.to_owned(), status: status.as_str().to_owned() }
                }
                _ => Error::NotOurs { name: name.to_owned(), output },
            })
        };
        let accounts = outputs
            .get(ACCOUNTS)
            .map(|names| names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect());
        Ok(Self {
            name: name.to_owned(),
            function_name: output(FUNCTION)?,
            state_machine: output(STATE_MACHINE)?,
            accounts,
        })
    }
}

fn is_made(status: &StackStatus) -> bool {
    status.as_str().ends_with("_COMPLETE")
        && !status.as_str().starts_with("DELETE")
        && *status != StackStatus::RollbackComplete
}

fn outputs(stack: &types::Stack) -> BTreeMap<String, String> {
    let pair = |output: &types::Output| Some((output.output_key.clone()?, output.output_value.clone()?));
    stack.outputs().iter().filter_map(pair).collect()
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
    fn a_stack_is_read_by_its_outputs() {
        let one = Stack::read("prod", &stack(StackStatus::CreateComplete, &OURS)).expect("a stack");
        assert_eq!((one.function_name.as_str(), one.accounts), ("prod-f", None));
        let mut outputs = OURS.to_vec();
        outputs.push((ACCOUNTS, "acme, globex"));
        let several = Stack::read("prod", &stack(StackStatus::UpdateComplete, &outputs)).expect("a stack");
        assert_eq!(several.accounts, Some(vec!["acme".to_owned(), "globex".to_owned()]));
    }

    #[test]
    fn a_stack_that_is_not_ours_or_not_ready_is_told_apart() {
        let other = Stack::read("prod", &stack(StackStatus::CreateComplete, &OURS[..1])).expect_err("not ours");
        assert!(other.to_string().contains("no output BackfillStateMachineArn"), "{other}");
        for status in [StackStatus::CreateInProgress, StackStatus::RollbackComplete, StackStatus::DeleteInProgress] {
            let error = Stack::read("prod", &stack(status, &[])).expect_err("not ready");
            assert_eq!(error.error_type(), "Stack.NotReady", "{error}");
        }
    }

    #[test]
    fn a_stack_that_is_not_there_is_told_with_those_that_are() {
        let missing = |others: &[&str]| Error::Missing {
            name: "lastpas".to_owned(),
            region: "eu-west-1".to_owned(),
            account: Some("123456789012".to_owned()),
            others: others.iter().map(|name| (*name).to_owned()).collect(),
        };
        let text = missing(&["lastpass"]).to_string();
        assert!(
            text.contains("eu-west-1 of AWS account 123456789012") && text.ends_with("; there is lastpass"),
            "{text}"
        );
        assert!(missing(&[]).to_string().ends_with("--profile"));
    }
}
