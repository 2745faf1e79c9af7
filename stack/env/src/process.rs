//! Child processes and signals, for game days in real time.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// Why a child process could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// What was to be started.
        program: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It ended before it said what was waited for.
    #[error("{program} ended before it was ready ({status})")]
    Ended {
        /// What was started.
        program: String,
        /// How it ended.
        status: String,
    },
}

/// A child process. It is killed when this is dropped, and it can notice the end of its parent by [`parent_gone`], also where the
/// parent was killed and could do nothing more.
pub struct Child {
    program: String,
    child: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
    // Closing it tells the child that its parent is gone.
    _stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts `program`. Its standard error is this process's own.
    ///
    /// # Errors
    /// Where the operating system refuses.
    pub fn start(program: &Path, arguments: &[String]) -> Result<Self, ProcessError> {
        let name = program.display().to_string();
        let start_error = |source| ProcessError::Start {
            program: name.clone(),
            source,
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A signal to the terminal's process group reaches the parent, which undoes the faults and then ends the children.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(start_error)?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| start_error(std::io::ErrorKind::BrokenPipe.into()))?;
        let stdin = child.stdin.take();
        Ok(Self {
            program: name,
            child,
            lines: BufReader::new(stdout).lines(),
            _stdin: stdin,
        })
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The next line that it prints.
    ///
    /// # Errors
    /// Where it ends instead.
    pub async fn next_line(&mut self) -> Result<String, ProcessError> {
        if let Ok(Some(line)) = self.lines.next_line().await {
            return Ok(line);
        }
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        Err(ProcessError::Ended {
            program: self.program.clone(),
            status,
        })
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Kills it and waits for its end.
    pub async fn kill(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill().await;
    }
}

/// Resolves when the parent of this process is gone: it holds the other end of our standard input.
pub async fn parent_gone() {
    let mut stdin = tokio::io::stdin();
    let mut bytes = [0; 64];
    while matches!(stdin.read(&mut bytes).await, Ok(count) if count > 0) {}
}

/// The value of an environment variable; none where it is not set or no text.
pub fn environment_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The requests to read the configuration again (SIGHUP).
pub struct Hangups(Option<tokio::signal::unix::Signal>);

impl Hangups {
    /// Listens for them from now on.
    pub fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::hangup()).ok())
    }

    /// Resolves at the next one.
    pub async fn next(&mut self) {
        match &mut self.0 {
            Some(signals) => {
                signals.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Resolves when the user or the system asks this process to end (SIGINT or SIGTERM), with the name of the signal.
pub async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        // Without handlers the signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
