//! The state machine of a stack, and its executions.

use aws_sdk_sfn::{
    error::{ProvideErrorMetadata, SdkError},
    operation::describe_execution::DescribeExecutionOutput,
    types::ExecutionStatus,
};
use lastpass_elastic::request::parse_time;
use serde_json::Value;

use super::error::Error;
use crate::aws::{self, Aws, Call};

/// The state machine that reads a range of the event report in slices.
pub struct StateMachine<'a> {
    client: aws_sdk_sfn::Client,
    arn: &'a str,
    region: &'a str,
}

impl<'a> StateMachine<'a> {
    /// Builds a client of the state machine `arn`.
    pub fn new(aws: &'a Aws, arn: &'a str) -> Self {
        Self { client: aws_sdk_sfn::Client::new(aws.config()), arn, region: aws.region() }
    }

    /// Starts an execution, and returns its ARN.
    pub async fn start(&self, input: &Value) -> Result<String, aws::Error> {
        let request = self.client.start_execution().state_machine_arn(self.arn).input(input.to_string());
        match request.send().await {
            Ok(started) => Ok(started.execution_arn),
            Err(error) => Err(self.error(&error, "states:StartExecution", self.arn)),
        }
    }

    /// Finds the running execution of the same range and account.
    pub async fn find_running(&self, input: &Value) -> Result<Option<String>, aws::Error> {
        let request = self.client.list_executions().state_machine_arn(self.arn);
        let running = request.status_filter(ExecutionStatus::Running).send().await;
        let running = running.map_err(|error| self.error(&error, "states:ListExecutions", self.arn))?;
        for execution in running.executions {
            let description = self.describe(&execution.execution_arn).await?;
            // Step Functions accepts JSON only. An input that cannot be read would not be of this range.
            let other = description.input.and_then(|text| serde_json::from_str::<Value>(&text).ok());
            if other.is_some_and(|other| is_same_backfill(&other, input)) {
                return Ok(Some(execution.execution_arn));
            }
        }
        Ok(None)
    }

    /// Fetches the output of an execution, or the reason why it ended without one; `None` while it runs.
    pub async fn fetch_output(&self, execution: &str) -> Result<Option<Result<Value, Error>>, aws::Error> {
        let description = self.describe(execution).await?;
        let stopped = |status: &str| Error::Stopped { arn: execution.to_owned(), status: status.to_owned() };
        Ok(match description.status {
            ExecutionStatus::Running | ExecutionStatus::PendingRedrive => None,
            ExecutionStatus::Succeeded => {
                let output = description.output.and_then(|output| serde_json::from_str(&output).ok());
                Some(output.ok_or_else(|| stopped("SUCCEEDED without an answer")))
            }
            ExecutionStatus::Failed => {
                let cause =
                    description.cause.unwrap_or_else(|| format!("see the history of the execution {execution}"));
                Some(Err(Error::Failed {
                    error_type: description.error.unwrap_or_else(|| "States.Unknown".to_owned()),
                    message: cause.trim_end_matches('.').to_owned(),
                }))
            }
            other => Some(Err(stopped(other.as_str()))),
        })
    }

    async fn describe(&self, execution: &str) -> Result<DescribeExecutionOutput, aws::Error> {
        let description = self.client.describe_execution().execution_arn(execution).send().await;
        description.map_err(|error| self.error(&error, "states:DescribeExecution", execution))
    }

    fn error<E, R>(&self, error: &SdkError<E, R>, action: &'static str, resource: &str) -> aws::Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        aws::Error::new(error, Call::new(action, resource), self.region)
    }
}

/// Returns whether two inputs have the same range, account and option `alert`, in whatever form their times are written.
fn is_same_backfill(one: &Value, other: &Value) -> bool {
    let meaning = |input: &Value| {
        let [from, to] = ["from", "to"].map(|name| parse_time(input[name].as_str()?));
        Some((from?, to?, input["account"].clone(), input["alert"] == true))
    };
    one == other || meaning(one).is_some_and(|meaning_of_one| meaning(other) == Some(meaning_of_one))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_backfill_is_recognized_in_every_form() {
        let ours = json!({"from": "2025-01-01T00:00:00Z", "to": "2025-03-01T00:00:00Z"});
        for (same, input) in [
            (true, json!({"to": "2025-03-01", "from": "2025-01-01"})),
            (true, json!({"from": "2025-01-01T01:00:00+01:00", "to": "2025-03-01", "alert": false})),
            (false, json!({"from": "2025-01-01", "to": "2025-03-02"})),
            (false, json!({"from": "2025-01-01", "to": "2025-03-01", "alert": true})),
            (false, json!({"from": "2025-01-01", "to": "2025-03-01", "account": "acme"})),
            (false, json!({"from": 7})),
            (false, json!(null)),
        ] {
            assert_eq!(is_same_backfill(&input, &ours), same, "{input}");
        }
    }
}
