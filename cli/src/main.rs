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
mod stack;
mod table;
mod when;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    accounts::Targets,
    args::{Args, Command, LocalCommand, OnStack, Output},
    aws::Aws,
    backfill::{Backfill, Follow},
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
    match run(args).await {
        Ok(exit) => exit.into(),
        Err(error) => {
            say_error(&error, output);
            error.exit().into()
        }
    }
}

fn say_error(error: &Error, output: Output) {
    match output {
        Output::Table => eprintln!("error: {error}"),
        Output::Json => println!("{}", error.document()),
    }
}

async fn run(args: Args) -> Result<Exit, Error> {
    let Args { command, on_stack, output } = args;
    match command {
        Command::Completions { shell } => {
            let mut command = Args::command();
            clap_complete::generate(shell, &mut command, "lastpass-elastic", &mut io::stdout());
            Ok(Exit::Done)
        }
        Command::Local { command: LocalCommand::Collect(collect) } => local::collect(&collect, output, now()).await,
        Command::Backfill { from, to, alert, follow } => {
            // What is wrong with the command line is said before AWS is asked.
            let range = range(&from, to.as_deref())?;
            let opened = Opened::open(&on_stack).await?;
            let targets = opened.targets(&on_stack)?;
            if output == Output::Table {
                eprintln!("{range}");
                if let Some(local) = range.local(&jiff::tz::TimeZone::system()) {
                    eprintln!("{local}");
                }
            }
            let follow = if follow { Follow::ToTheEnd } else { Follow::No };
            let backfill = Backfill { aws: &opened.aws, stack: &opened.stack, range, alert, follow, output };
            backfill.run(&opened.function(), &targets).await
        }
        Command::Setup { retention } => {
            let mut payload = json!({"action": "setup"});
            if let Some(retention) = retention {
                payload["retention"] = retention.into();
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
                Err(Error::Function(error)) if targets.are_several() => {
                    exit = exit.worse(Exit::Failed);
                    answers.push(error.document(account));
                }
                Err(error) => return Err(error),
            }
        }
        print_answers(&answers, targets.are_several(), output)?;
        Ok(exit)
    }
}

/// Prints answers: a table each, or JSON, which is a list where several accounts were asked for.
fn print_answers(answers: &[Value], are_several: bool, output: Output) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match output {
        Output::Table => {
            for (index, answer) in answers.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                writeln!(out, "{}", table::of_answer(answer))?;
            }
        }
        Output::Json if are_several => writeln!(out, "{}", Value::from(answers.to_vec()))?,
        Output::Json => {
            for answer in answers {
                writeln!(out, "{answer}")?;
            }
        }
    }
    Ok(())
}

fn range(from: &str, to: Option<&str>) -> Result<Range, Error> {
    let from = time("--from", from)?;
    let to = to.map_or_else(|| Ok(when::next_hour(now())), |to| time("--to", to))?;
    Ok(Range::new(from, to)?)
}

fn time(option: &'static str, text: &str) -> Result<Timestamp, Error> {
    when::parse(text, now()).map_err(|fault| Error::Time { option, fault })
}

fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place where the command line reads the clock")]
    Timestamp::now()
}
