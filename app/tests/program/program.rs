//! Running the program as a user does, with a bound on its time.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Every run takes a second or two; a run that takes this long hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A call of the program.
pub struct Program {
    command: Command,
    stdin: Vec<u8>,
}

/// What a call left behind.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A call that still runs.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Heard,
    stderr: Heard,
}

/// What came through a pipe so far, and the thread that listens.
struct Heard {
    bytes: Arc<Mutex<Vec<u8>>>,
    listener: JoinHandle<()>,
}

impl Heard {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let listener = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut piece) {
                into.lock().expect("no panic").extend_from_slice(&piece[..count]);
            }
        });
        Self { bytes, listener }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no panic")).into_owned()
    }

    fn all(self) -> String {
        self.listener.join().expect("listening cannot fail");
        let bytes = self.bytes.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("what is printed is UTF-8")
    }
}

/// The program with these arguments.
pub fn program<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llava-mole"));
    command.args(args);
    Program::of(command)
}

/// `command` on the CPU with this model.
pub fn on_cpu(command: &str, model: impl AsRef<Path>) -> Program {
    program([command, "--device", "cpu", "--model"]).arg(model.as_ref())
}

/// `ask` on the CPU with this model.
pub fn ask(model: impl AsRef<Path>, prompt: &str) -> Program {
    on_cpu("ask", model).arg(prompt)
}

impl Program {
    /// A command that ends up running the program.
    pub fn of(mut command: Command) -> Self {
        // What the machine's owner set is not under test.
        command.env_remove("MOLE_MEMORY_LIMIT");
        Self { command, stdin: Vec::new() }
    }

    /// With one more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// With more arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// With an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Where the Vulkan loader finds no driver.
    pub fn without_gpu(self) -> Self {
        self.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent")
    }

    /// With this on standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// With these pictures.
    pub fn images<P: AsRef<Path>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        for path in paths {
            self.command.arg("--image").arg(path.as_ref());
        }
        self
    }

    /// With at most this many tokens of reply.
    pub fn tokens(self, count: usize) -> Self {
        self.arg("--max-new-tokens").arg(count.to_string())
    }

    /// In this folder.
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts it; standard input stays open.
    pub fn start(mut self) -> Running {
        let command = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program was built");
        let stdout = Heard::of(child.stdout.take().expect("piped"));
        let stderr = Heard::of(child.stderr.take().expect("piped"));
        let stdin = child.stdin.take();
        Running { child, stdin, stdout, stderr }
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Finished {
        let bytes = std::mem::take(&mut self.stdin);
        let mut running = self.start();
        let mut stdin = running.stdin.take().expect("piped");
        // A program that reads nothing closes the pipe; that is its right.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
        let finished = running.finish();
        feeder.join().expect("feeding cannot fail");
        finished
    }

    /// Runs it; it must succeed.
    pub fn succeed(self) -> Finished {
        let finished = self.run();
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        finished
    }

    /// Runs it; it must succeed and print one JSON object and nothing else.
    pub fn json(self) -> Value {
        self.succeed().json()
    }

    /// Runs it; it must refuse with exit code 1, nothing on stdout, and one line of error with all of `words` in it.
    pub fn refuse(self, words: &[&str]) -> String {
        let finished = self.run();
        assert_eq!(finished.code, Some(1), "{finished:#?}");
        assert_eq!(finished.stdout, "", "an error goes to stderr");
        finished.error(words)
    }
}

impl Running {
    /// Waits until what is on stdout so far is enough.
    pub fn wait_for(&self, enough: impl Fn(&str) -> bool) {
        self.wait(|running| enough(&running.stdout.so_far()));
    }

    /// Waits for words on stderr.
    pub fn wait_for_stderr(&self, words: &str) {
        self.wait(|running| running.stderr.so_far().contains(words));
    }

    /// What is on stdout so far.
    pub fn stdout_so_far(&self) -> String {
        self.stdout.so_far()
    }

    /// Waits for something that the program does.
    pub fn wait_until(&self, done: impl Fn() -> bool) {
        self.wait(|_| done());
    }

    fn wait(&self, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < LIMIT, "{}\n{}", self.stdout.so_far(), self.stderr.so_far());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        writeln!(stdin, "{line}").expect("the program reads");
        stdin.flush().expect("the program reads");
    }

    /// Ctrl-C.
    #[cfg(unix)]
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal, by its name.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("every Unix has kill").success());
    }

    /// Sends a signal as `timeout` does: to the program, and at once to its group.
    #[cfg(unix)]
    pub fn signal_twice(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id, &id]).status();
        assert!(sent.expect("every Unix has kill").success());
    }

    /// Ends it as nothing can prevent: `kill -9`.
    pub fn kill(mut self) -> Finished {
        self.child.kill().expect("it is our child");
        self.finish()
    }

    /// Closes standard input and waits for the end.
    pub fn finish(mut self) -> Finished {
        drop(self.stdin.take());
        self.end()
    }

    /// Waits for the end, with standard input left as it is. No run may panic or hang.
    pub fn end(mut self) -> Finished {
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => break Some(status),
                None if start.elapsed() > LIMIT => break None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        if status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let code = status.and_then(|status| status.code());
        let finished = Finished { code, stdout: self.stdout.all(), stderr: self.stderr.all() };
        assert!(status.is_some(), "it ran for more than {LIMIT:?}: {finished:#?}");
        assert!(!finished.stderr.contains("panicked at"), "{finished:#?}");
        finished
    }
}

impl Finished {
    /// stdout as one JSON object.
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        assert!(value.is_object(), "{self:#?}");
        value
    }

    /// The error: the one line of stderr that begins so, with all of `words` in it.
    pub fn error(&self, words: &[&str]) -> String {
        // A Vulkan driver may have its own say on stderr, before ours.
        let ours = |line: &&str| line.starts_with("error: ") && !line.contains("XDG_RUNTIME_DIR");
        let errors: Vec<&str> = self.stderr.lines().filter(ours).collect();
        let [error] = errors[..] else { panic!("one line of error is expected: {self:#?}") };
        assert_eq!(self.stderr.lines().last(), Some(error), "nothing follows an error: {self:#?}");
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
        error.to_owned()
    }
}
