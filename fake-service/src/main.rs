//! The fake service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    fake_service::cli::run(std::env::args_os())
}
