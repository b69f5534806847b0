//! Invokes the function of a stack.

use aws_sdk_lambda::{operation::invoke::InvokeOutput, primitives::Blob};
use serde_json::Value;

use crate::{
    aws::{self, Aws, Call},
    exit::Exit,
    failure::{Failure, is_of_function},
};

const INVOKE: &str = "lambda:InvokeFunction";

/// The function of a stack.
pub struct Function {
    client: aws_sdk_lambda::Client,
    name: String,
    region: String,
}

/// A failed invocation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// AWS did not invoke the function.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// The function returned an error, or Lambda ended it.
    #[error("{message}")]
    Failed { error_type: String, message: String },
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        match self {
            Self::Aws(error) => error.error_type(),
            Self::Failed { error_type, .. } => error_type,
        }
    }

    fn exit(&self) -> Exit {
        match self.error_type() {
            // Only the function can judge some values, such as a retention.
            "Request.Invalid" => Exit::Usage,
            error_type => Exit::of_error(error_type),
        }
    }

    fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Aws(error) => error.transient(),
            Self::Failed { .. } => None,
        }
    }

    fn is_documented(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

impl Function {
    /// Builds a client of the function `name`.
    pub fn new(aws: &Aws, name: String) -> Self {
        Self { client: aws.invoker(), name, region: aws.region().to_owned() }
    }

    /// Invokes the function and waits for its answer.
    pub async fn invoke(&self, payload: &Value) -> Result<Value, Error> {
        let request = self.client.invoke().function_name(&self.name).payload(Blob::new(payload.to_string()));
        match request.send().await {
            Ok(response) => self.read(&response),
            Err(error) => Err(aws::Error::new(&error, Call::new(INVOKE, &self.name), &self.region).into()),
        }
    }

    /// Reads the answer, or the function's error, from Lambda's response.
    fn read(&self, response: &InvokeOutput) -> Result<Value, Error> {
        let Some(body) = response.payload().map(AsRef::<[u8]>::as_ref) else {
            return Err(self.failed("Function.BadAnswer", "the response of the function is empty"));
        };
        let parsed: Result<Value, _> = serde_json::from_slice(body);
        match (response.function_error(), parsed) {
            (None, Ok(answer)) => Ok(answer),
            (None, Err(_)) => Err(self.failed("Function.BadAnswer", "the response of the function is not JSON")),
            (Some(kind), Err(_)) => Err(self.failed(kind, &String::from_utf8_lossy(body))),
            (Some(kind), Ok(error)) => {
                let error_type = error["errorType"].as_str().unwrap_or(kind);
                let message = error["errorMessage"].as_str().map_or_else(|| error.to_string(), str::to_owned);
                Err(self.failed(error_type, &message))
            }
        }
    }

    /// Builds an error. The function's own errors say how to fix them; for all others the text points to the log.
    fn failed(&self, error_type: &str, message: &str) -> Error {
        let hint = if is_of_function(error_type) {
            String::new()
        } else {
            format!(" (see its log group /aws/lambda/{})", self.name)
        };
        Error::Failed { error_type: error_type.to_owned(), message: format!("{message}{hint}") }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::config::BehaviorVersion;
    use serde_json::json;

    use super::*;

    fn read(function_error: Option<&str>, body: Option<&str>) -> Result<Value, Error> {
        let config = aws_sdk_lambda::Config::builder().behavior_version(BehaviorVersion::latest()).build();
        let client = aws_sdk_lambda::Client::from_conf(config);
        let function = Function { client, name: "prod-f".to_owned(), region: "eu-west-1".to_owned() };
        let response = InvokeOutput::builder().set_function_error(function_error.map(str::to_owned));
        function.read(&response.set_payload(body.map(|body| Blob::new(body.as_bytes()))).build())
    }

    #[test]
    fn an_answer_is_read_and_an_error_has_its_type_and_text() {
        assert_eq!(read(None, Some("{\"status\":\"ok\"}")), Ok(json!({"status": "ok"})));
        let hint = " (see its log group /aws/lambda/prod-f)";
        for (kind, body, error_type, message) in [
            (
                "Unhandled",
                "{\"errorType\":\"Config.Invalid\",\"errorMessage\":\"why\"}",
                "Config.Invalid",
                "why".to_owned(),
            ),
            (
                "Unhandled",
                "{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"why\"}",
                "Runtime.ExitError",
                format!("why{hint}"),
            ),
            ("Unhandled", "[7]", "Unhandled", format!("[7]{hint}")),
            ("Unhandled", "no JSON", "Unhandled", format!("no JSON{hint}")),
        ] {
            let error = Error::Failed { error_type: error_type.to_owned(), message };
            assert_eq!(read(Some(kind), Some(body)), Err(error), "{body}");
        }
        for body in [None, Some(""), Some("no JSON")] {
            let error = read(None, body).expect_err("no answer");
            assert_eq!((error.error_type(), error.exit()), ("Function.BadAnswer", Exit::Failed), "{error}");
        }
    }
}
