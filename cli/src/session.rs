//! The stack that a command works on, and the clients to reach it.

use serde_json::Value;

use crate::{
    accounts::Targets,
    aws::Aws,
    exit::Exit,
    failure::{Error, Failure as _},
    function::Function,
    output::{self, Format},
    payload,
    stack::{Stack, StackOptions},
};

/// A stack that exists, with the login to use it.
pub struct Session {
    pub aws: Aws,
    pub stack: Stack,
    /// The function of the stack.
    pub function: Function,
    options: StackOptions,
}

impl Session {
    /// Logs in and fetches the stack.
    ///
    /// # Errors
    /// [`aws::Error`](crate::aws::Error), [`stack::Error`](crate::stack::Error).
    pub async fn open(options: &StackOptions) -> Result<Self, Error> {
        let aws = Aws::load(options.region.as_deref(), options.profile.as_deref()).await?;
        let stack = Stack::fetch(&aws, &options.name).await?;
        let function = Function::new(&aws, stack.function_name.clone());
        Ok(Self { aws, stack, function, options: options.clone() })
    }

    /// Returns the accounts of a command that needs one on a stack of several accounts.
    ///
    /// # Errors
    /// [`accounts::Error`](crate::accounts::Error).
    pub fn targets(&self) -> Result<Targets, Error> {
        Ok(Targets::resolve(&self.stack, &self.options)?)
    }

    /// Returns the accounts of `status`: without `--account`, one answer covers all accounts.
    ///
    /// # Errors
    /// [`accounts::Error`](crate::accounts::Error).
    pub fn status_targets(&self) -> Result<Targets, Error> {
        if self.options.accounts.is_empty() { Ok(Targets::Stack) } else { self.targets() }
    }

    /// Returns the accounts of `invoke`: without options, the payload itself may name an account.
    ///
    /// # Errors
    /// [`accounts::Error`](crate::accounts::Error).
    pub fn invoke_targets(&self) -> Result<Targets, Error> {
        let selects_accounts = self.options.all_accounts || !self.options.accounts.is_empty();
        if selects_accounts { self.targets() } else { Ok(Targets::Stack) }
    }

    /// Invokes the function for each target in turn and prints the answers.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); [`output::Error`].
    pub async fn invoke(&self, targets: &Targets, payload: &Value, format: Format) -> Result<Exit, Error> {
        let (answers, exit) = self.ask(targets, payload).await?;
        output::print_answers(&answers, targets, format)?;
        Ok(exit)
    }

    /// Invokes the function for each target in turn. If one of several targets fails, the others still run, and its answer is
    /// the document of the error.
    ///
    /// # Errors
    /// [`function::Error`](crate::function::Error) for a single target.
    pub async fn ask(&self, targets: &Targets, payload: &Value) -> Result<(Vec<Value>, Exit), Error> {
        let mut exit = Exit::Done;
        let mut answers = Vec::new();
        for account in targets.accounts() {
            match self.function.invoke(&payload::with_account(payload, account)).await {
                Ok(answer) => {
                    exit = exit.max(Exit::of_answer(&answer));
                    answers.push(answer);
                }
                Err(error) if targets.is_multiple() => {
                    exit = exit.max(error.exit());
                    answers.push(payload::with_account(&error.document(), account));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((answers, exit))
    }
}
