//! The binary as a child process: a home of its own, no inherited environment, killed when dropped.

use serde_json::Value;
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take that is not itself the subject of a test.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The longest a command may run: one that waits for input nobody gives is a fault.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);

/// Asks `probe` until it answers, and panics with `what` when it has not within `limit`.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(3));
    }
}

/// A directory in which nothing has run yet; the data directory in it does not exist until the program makes it.
pub struct Home {
    root: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("omnistack-").tempdir().unwrap();
        Home { root }
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub fn database(&self) -> PathBuf {
        self.data().join("omnistack.db")
    }

    /// The program with these arguments, in this home and with nothing of the caller's environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let binary = std::env::var_os("OMNISTACK_BIN").unwrap_or(env!("CARGO_BIN_EXE_omnistack").into());
        let mut command = Command::new(binary);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path()).current_dir(self.path());
        command.arg("--data-dir").arg(self.data()).args(args);
        command
    }

    /// Runs a command to its end, with an empty standard input.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        Process::spawn(&mut self.command(args), b"").finish(COMMAND_LIMIT)
    }

    /// Runs a command to its end, with `stdin` piped into it.
    #[track_caller]
    pub fn run_with(&self, args: &[&str], stdin: &str) -> Output {
        Process::spawn(&mut self.command(args), stdin.as_bytes()).finish(COMMAND_LIMIT)
    }

    /// Runs a command to its end, with these environment variables.
    #[track_caller]
    pub fn run_env(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = self.command(args);
        command.envs(env.iter().copied());
        Process::spawn(&mut command, b"").finish(COMMAND_LIMIT)
    }
}

/// A running child with everything it has written so far.
pub struct Process {
    child: Child,
    line: String,
    stdout: Pipe,
    stderr: Pipe,
}

impl Process {
    pub fn spawn(command: &mut Command, stdin: &[u8]) -> Self {
        let line = command.get_args().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        // A command that does not read its input closes the pipe first; that is its right.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let stdout = Pipe::drain(child.stdout.take().unwrap());
        let stderr = Pipe::drain(child.stderr.take().unwrap());
        Process { child, line, stdout, stderr }
    }

    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The exit code, or `None` while it runs; a signal counts as 128 plus its number, as in a shell.
    pub fn exit_code(&mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.try_wait().unwrap()?;
        status.code().or(status.signal().map(|signal| 128 + signal))
    }

    /// Sends a signal by name ("TERM", "INT").
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end, which must come within `limit`, and returns all that was written.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) -> Output {
        let started = Instant::now();
        let code = loop {
            if let Some(code) = self.exit_code() {
                break code;
            }
            if started.elapsed() > limit {
                self.kill();
                self.join();
                panic!("`{}` still ran after {limit:?}\n{}{}", self.line, self.stdout(), self.stderr());
            }
            thread::sleep(Duration::from_millis(2));
        };
        self.join();
        Output { line: self.line.clone(), code, stdout: self.stdout(), stderr: self.stderr() }
    }

    fn join(&mut self) {
        self.stdout.join();
        self.stderr.join();
    }
}

/// Kills the child, and shows what it logged when it is a failing test that ends.
impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- stderr of `omnistack {}`\n{}", self.line, self.stderr());
        }
    }
}

/// One output stream, read by a thread so that the child never blocks on a full pipe.
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    fn drain(mut from: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Pipe { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

/// How a command ended. Its methods panic with the whole output when an expectation fails.
pub struct Output {
    line: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code of {self}");
        self
    }

    /// Standard output, all of which must be one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("stdout is not JSON ({e}): {self}"))
    }

    /// Standard error must contain each of these.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "stderr does not say {word:?}: {self}");
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Output { line, code, stdout, stderr } = self;
        write!(f, "`omnistack {line}` -> {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
