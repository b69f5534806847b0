//! The command line of lastpass-elastic: sets a deployed stack up, looks at it, and fills the past back.
//!
//! What a command prints for people goes to standard output as a table, with `--output json` as the function's own
//! answers; progress and errors go to standard error.

mod accounts;
mod args;
mod aws;
mod backfill;
mod error;
mod exit;
mod function;
mod local;
mod print;
mod stack;
mod table;
mod when;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    accounts::Targets,
    args::{Args, Command, LocalCommand, OnStack, Output},
    aws::Aws,
    backfill::Backfill,
    error::Error,
    exit::Exit,
    function::Function,
    stack::Stack,
    when::Range,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let output = args.output;
    let exit = run(args).await.unwrap_or_else(|error| {
        // What can't be printed is told all the same.
        if output == Output::Table || print::line(&error.document(None).to_string()).is_err() {
            print::tell(&format!("error: {}", error.told()));
        }
        error.exit()
    });
    exit.into()
}

async fn run(args: Args) -> Result<Exit, Error> {
    let Args { command, output, on_stack } = args;
    match command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "lastpass-elastic", &mut script);
            // In one half of a script for bash, clap_complete 4.6 takes the hyphen of the name for a subcommand's: nothing
            // would be completed behind a command.
            let script = String::from_utf8_lossy(&script).replace("lastpass__subcmd__elastic", "lastpass__elastic");
            print::line(script.trim_end())?;
            Ok(Exit::Done)
        }
        Command::Local { command: LocalCommand::Collect(collect) } => local::collect(&collect, output, now()).await,
        Command::Backfill { from, to, alert, follow } => {
            // What is wrong with the command line is said before AWS is asked.
            let range = range(&from, to.as_deref())?;
            let opened = Opened::open(&on_stack).await?;
            let targets = opened.targets(&on_stack)?;
            if output == Output::Table {
                range.tell();
            }
            let backfill = Backfill { aws: &opened.aws, stack: &opened.stack, range, alert, output };
            if follow { backfill.follow(&opened.function(), &targets).await } else { backfill.start(&targets).await }
        }
        Command::Setup { retention, take_over } => {
            let mut payload = json!({"action": "setup"});
            if let Some(retention) = retention {
                payload["retention"] = retention.into();
            }
            if take_over {
                payload["take_over"] = true.into();
            }
            invoke(&on_stack, output, payload).await
        }
        Command::Check => invoke(&on_stack, output, json!({"action": "check"})).await,
        Command::Status => {
            let opened = Opened::open(&on_stack).await?;
            let targets = opened.targets_of_status(&on_stack)?;
            opened.invoke(&targets, &json!({"action": "status"}), output).await
        }
        Command::Reset { stream, to } => {
            let to = time("--to", &to)?;
            invoke(&on_stack, output, json!({"action": "reset", "stream": stream.name(), "to": to})).await
        }
        Command::Redrive { stream } => {
            invoke(&on_stack, output, json!({"action": "redrive", "stream": stream.name()})).await
        }
        Command::Invoke { payload } => {
            let payload = function::read_payload(&payload)?;
            let opened = Opened::open(&on_stack).await?;
            // It says itself for whom it is.
            let targets = if on_stack.accounts.is_empty() && !on_stack.all_accounts {
                Targets::Stack
            } else {
                opened.targets(&on_stack)?
            };
            opened.invoke(&targets, &payload, output).await
        }
    }
}

async fn invoke(on_stack: &OnStack, output: Output, payload: Value) -> Result<Exit, Error> {
    let opened = Opened::open(on_stack).await?;
    let targets = opened.targets(on_stack)?;
    opened.invoke(&targets, &payload, output).await
}

/// A stack that was found.
struct Opened {
    aws: Aws,
    stack: Stack,
}

impl Opened {
    async fn open(on_stack: &OnStack) -> Result<Self, Error> {
        let aws = Aws::open(on_stack.region.as_deref(), on_stack.profile.as_deref()).await?;
        let stack = Stack::find(&aws, &on_stack.stack).await?;
        Ok(Self { aws, stack })
    }

    fn function(&self) -> Function {
        Function::new(&self.aws, self.stack.function_name.clone())
    }

    fn targets(&self, on_stack: &OnStack) -> Result<Targets, Error> {
        Ok(Targets::choose(&self.stack, &on_stack.accounts, on_stack.all_accounts)?)
    }

    /// As [`targets`](Self::targets), but that one answer tells of all accounts where none is named.
    fn targets_of_status(&self, on_stack: &OnStack) -> Result<Targets, Error> {
        if on_stack.accounts.is_empty() { Ok(Targets::Stack) } else { self.targets(on_stack) }
    }

    /// Invokes the function for each target, one after the other: one that fails doesn't keep the others.
    async fn invoke(&self, targets: &Targets, payload: &Value, output: Output) -> Result<Exit, Error> {
        let function = self.function();
        let mut exit = Exit::Done;
        let mut answers = Vec::new();
        for account in targets.accounts() {
            match function.invoke(&function::for_account(payload, account)).await {
                Ok(answer) => {
                    exit = exit.worse(Exit::of_answer(&answer));
                    answers.push(answer);
                }
                // What is wrong for one of several is said, and the others come to their turn.
                Err(error) if targets.are_several() => {
                    exit = exit.worse(error.exit());
                    answers.push(error.document(account));
                }
                Err(error) => return Err(error),
            }
        }
        print::answers(&answers, targets.are_several(), output)?;
        Ok(exit)
    }
}

fn range(from: &str, to: Option<&str>) -> Result<Range, Error> {
    let from = time("--from", from)?;
    let to = to.map_or_else(|| Ok(when::next_hour(now())), |to| time("--to", to))?;
    Ok(Range::new(from, to, now())?)
}

fn time(option: &'static str, text: &str) -> Result<Timestamp, Error> {
    when::parse(text, now()).map_err(|fault| Error::Time { option, fault })
}

fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place where the command line reads the clock")]
    Timestamp::now()
}
