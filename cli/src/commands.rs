//! Runs each command.

use clap::CommandFactory as _;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    args::{Args, Command, ContentCommand, LocalCommand},
    backfill::{Backfill, StateMachine},
    check_page, connect, content,
    exit::Exit,
    failure::Error,
    local,
    output::{self, Format},
    payload,
    session::Session,
    stack::StackOptions,
    times::{self, Range},
    watch,
};

/// Runs the command of `args` at the time `now`.
pub async fn run(args: Args, now: Timestamp) -> Result<Exit, Error> {
    let Args { command, output: format, stack: options } = args;
    match command {
        Command::Setup { retention, take_over } => {
            let mut payload = json!({"action": "setup"});
            if let Some(retention) = retention {
                payload["retention"] = retention.into();
            }
            if take_over {
                payload["take_over"] = true.into();
            }
            invoke(&options, &payload, format).await
        }
        Command::Connect(connect) => connect::connect(&options, &connect, format).await,
        Command::Check => check(&options, format).await,
        Command::Status { watch } => {
            let session = Session::open(&options).await?;
            if watch {
                return watch::watch(&session, format).await;
            }
            session.invoke(&session.status_targets()?, &json!({"action": "status"}), format).await
        }
        Command::Backfill { from, to, alert, follow } => {
            // An invalid command line is reported before any request to AWS.
            let range = range(&from, to.as_deref(), now)?;
            let session = Session::open(&options).await?;
            let targets = session.targets()?;
            if format == Format::Table {
                output::print_message(&range.describe(&TimeZone::system()));
            }
            let backfill = Backfill {
                state_machine: StateMachine::new(&session.aws, &session.stack.state_machine_arn),
                function: &session.function,
                stack: &session.stack.name,
                range,
                alert,
                format,
            };
            if follow { backfill.follow(&targets).await } else { backfill.start(&targets).await }
        }
        Command::Reset { stream, to } => {
            let to = times::parse_option("--to", &to, now)?;
            invoke(&options, &json!({"action": "reset", "stream": stream.as_str(), "to": to}), format).await
        }
        Command::Redrive { stream } => {
            invoke(&options, &json!({"action": "redrive", "stream": stream.as_str()}), format).await
        }
        Command::Invoke { payload } => {
            let payload = payload::read(&payload)?;
            let session = Session::open(&options).await?;
            session.invoke(&session.invoke_targets()?, &payload, format).await
        }
        Command::Local { command: LocalCommand::Collect(collect) } => local::collect(&collect, format, now).await,
        Command::Content { command: ContentCommand::Install(install) } => content::install(&install, format).await,
        Command::Completions { shell } => {
            output::print_line(completions(shell).trim_end())?;
            Ok(Exit::Done)
        }
    }
}

async fn invoke(options: &StackOptions, payload: &Value, format: Format) -> Result<Exit, Error> {
    let session = Session::open(options).await?;
    session.invoke(&session.targets()?, payload, format).await
}

/// Runs the checks. People also see the progress of each stream, and the next step under each fault.
async fn check(options: &StackOptions, format: Format) -> Result<Exit, Error> {
    let (session, request) = (Session::open(options).await?, json!({"action": "check"}));
    let targets = session.targets()?;
    if format == Format::Json {
        return session.invoke(&targets, &request, format).await;
    }
    let (checks, exit) = session.ask(&targets, &request).await?;
    // The checks are shown even if the status cannot be read.
    let statuses =
        session.ask(&targets, &json!({"action": "status"})).await.map_or_else(|_| Vec::new(), |(all, _)| all);
    let page = |(nth, check)| check_page::render(check, statuses.get(nth), &session.stack.name);
    let pages: Vec<String> = checks.iter().enumerate().map(page).collect();
    output::print_line(&pages.join("\n\n"))?;
    Ok(exit)
}

fn range(from: &str, to: Option<&str>, now: Timestamp) -> Result<Range, Error> {
    let from = times::parse_option("--from", from, now)?;
    let to = to.map_or_else(|| Ok(times::next_hour(now)), |to| times::parse_option("--to", to, now))?;
    Ok(Range::new(from, to, now)?)
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "lastpass-elastic", &mut script);
    // clap_complete 4.6 takes the hyphen of the name for the separator of a subcommand in one half of a bash script, so that
    // nothing would be completed after a command.
    let script = String::from_utf8_lossy(&script).replace("lastpass__subcmd__elastic", "lastpass__elastic");
    // clap_complete 4.6 does not complete the values of arguments in fish, only those of options.
    if shell == clap_complete::Shell::Fish { script + &fish_arguments(&Args::command(), "") } else { script }
}

/// Completes the values of the arguments of `command` and its subcommands in fish. `seen` is the condition for `command`.
fn fish_arguments(command: &clap::Command, seen: &str) -> String {
    let values =
        command.get_positionals().filter(|argument| !seen.is_empty() && !argument.get_possible_values().is_empty());
    let own = values.map(|argument| {
        let names = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect::<Vec<_>>();
        format!("complete -c lastpass-elastic -n \"{seen}\" -f -a \"{}\"\n", names.join(" "))
    });
    let of_subcommands = command.get_subcommands().map(|subcommand| {
        let name = subcommand.get_name();
        let seen = match seen {
            "" => format!("__fish_lastpass_elastic_using_subcommand {name}"),
            seen => format!("{seen}; and __fish_seen_subcommand_from {name}"),
        };
        fish_arguments(subcommand, &seen)
    });
    own.chain(of_subcommands).collect()
}
