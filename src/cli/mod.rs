//! The commands, one file each.

mod check;
mod faults;
mod init;
mod list;
mod run;
mod stack;
mod steps;
mod test;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::{EXIT_CODES, Failure, FailureKind};

/// Breaks an instrumented system on purpose and proves that the right alert fires in time, reaches the right person with a runbook
/// that helps, and that a log line leads to the trace which holds the root cause.
#[derive(Parser)]
#[command(name = "gameday", version, about, after_help = exit_codes())]
struct Cli {
    /// The folder that holds scenarios/ and features/.
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays game days and writes their reports.
    Run(run::Args),
    /// Lists the game days.
    List,
    /// Prints every step with an example.
    Steps,
    /// Prints every fault with its settings and an example.
    Faults,
    /// Serves the embedded stack.
    #[command(subcommand)]
    Stack(stack::StackCommand),
    /// Parses everything under test and prints every error.
    Check(check::Args),
    /// Runs unit tests of rules and routes.
    #[command(subcommand)]
    Test(test::TestCommand),
    /// Writes a starter project that passes as it is.
    Init(init::Args),
}

fn exit_codes() -> String {
    let lines: Vec<String> = EXIT_CODES
        .iter()
        .map(|(code, meaning)| format!("  {code:>2}  {meaning}"))
        .collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

/// The first argument of the hidden command that plays a service in a process of its own.
const SERVICE_COMMAND: &str = "__service";

/// Runs the command line and gives the exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    if arguments
        .get(1)
        .is_some_and(|first| first == SERVICE_COMMAND)
    {
        let program = OsString::from("gameday service");
        return fake_service::cli::run(
            std::iter::once(program).chain(arguments.into_iter().skip(2)),
        );
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let wanted = !error.use_stderr();
            // A closed terminal is nobody to complain to.
            let _ = error.print();
            return if wanted {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FailureKind::Usage.exit_code())
            };
        }
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(failure) => {
            complain(&failure);
            failure.exit_code()
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Run(args) => run::run(&cli.root, &args),
        Command::List => list::run(&cli.root),
        Command::Steps => steps::run(),
        Command::Faults => faults::run(),
        Command::Stack(command) => stack::run(command),
        Command::Check(args) => check::run(&cli.root, &args),
        Command::Test(command) => test::run(command),
        Command::Init(args) => init::run(&args),
    }
}

/// Prints a line; a reader that has gone away ends the program quietly, as it does for every other command.
fn say(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let outcome = out
        .write_all(text.as_ref().as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::internal(
            format!("cannot write to standard output: {error}"),
        )),
        _ => Ok(()),
    }
}

fn complain(failure: &Failure) {
    let mut out = std::io::stderr().lock();
    // Nobody is left to tell where standard error is closed.
    let _ = writeln!(out, "gameday: {failure}");
}

/// Whether the standard error is a terminal.
fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}
