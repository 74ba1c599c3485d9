//! A project in a folder of its own, and the program run in it.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use insta::Settings;
use insta::internals::SettingsBindDropGuard;
use tempfile::TempDir;

/// Definitions that most tests begin with.
pub const FEATURES: &str = "\
entities:
  driver:
    keys: { driver_id: int64 }
sources:
  trips_table:
    path: data/trips.csv
    event: event_timestamp
    created: created_timestamp
feature_views:
  trips:
    entities: [driver]
    source: trips_table
    features:
      trip_count: int64
      rating: float64
    owner: fleet
feature_services:
  ranking:
    features:
      - trips: [trip_count, rating]
";

/// Rows that most tests begin with.
pub const TRIPS: &str = "\
driver_id,event_timestamp,created_timestamp,trip_count,rating
7,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5
7,2026-01-02T10:00:00Z,2026-01-02T11:00:00Z,5,
8,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,1,2.25
";

/// Labels that most tests begin with.
pub const LABELS: &str = "\
driver_id,event_timestamp,tipped
7,2026-01-01T09:59:59Z,false
7,2026-01-01T10:00:00Z,true
7,2026-01-03T00:00:00Z,true
9,2026-01-03T00:00:00Z,false
";

/// What differs from run to run, and what is shown for it.
pub const MASKS: [(&str, &str); 10] = [
    (r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d+Z", "[NOW]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z", "[NOW]"),
    (r"\b[0-9a-f]{16,64}\b", "[HASH]"),
    (r"[\d.]+ [KMG]?B in", "[SIZE] in"),
    (r"\d+\.\d s\b", "[SECONDS]"),
    (r" +rows/s +seconds", "  rows/s  seconds"),
    (r"(?m) +[\d,]+ +\d+\.\d$", "  [RATE]  [SECONDS]"),
    (r#""seconds": [\d.e-]+"#, r#""seconds": [SECONDS]"#),
    (r"process \d+", "process [PID]"),
    (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:[PORT]"),
];

/// A folder, and the masks for what is printed there.
pub struct Scene {
    folder: TempDir,
    _masks: SettingsBindDropGuard,
}

impl Scene {
    /// An empty folder.
    pub fn empty() -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut settings = Settings::clone_current();
        let path = folder.path().canonicalize().expect("a path");
        settings.add_filter(&path.display().to_string().replace('.', r"\."), "[DIR]");
        for (pattern, shown) in MASKS {
            settings.add_filter(pattern, shown);
        }
        Self { _masks: settings.bind_to_scope(), folder }
    }

    /// A project with definitions and rows, of which nothing is applied.
    pub fn project() -> Self {
        let scene = Self::empty();
        scene.write("asof.toml", "project = \"fleet\"\n");
        scene.write("features.yaml", FEATURES);
        scene.write("data/trips.csv", TRIPS);
        scene.write("labels.csv", LABELS);
        scene
    }

    /// The same with its definitions applied.
    pub fn applied() -> Self {
        let scene = Self::project();
        scene.does("apply");
        scene
    }

    /// The same with its rows loaded.
    pub fn loaded() -> Self {
        let scene = Self::applied();
        scene.does("materialize");
        scene
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("a path")
    }

    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).expect("a file")
    }

    /// Replaces text in a file, where it must stand.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "`{from}` in {file}");
        self.write(file, text.replace(from, to));
    }

    /// A command in this folder, with an environment of its own.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asof"));
        command.args(line.split_whitespace()).current_dir(self.path());
        for variable in ["ASOF_LOG", "NO_COLOR", "CLICOLOR_FORCE", "RUST_BACKTRACE"] {
            command.env_remove(variable);
        }
        command.env("USER", "tester").env("COLUMNS", "100");
        command
    }

    /// Posts in our own shape; answers the JSON of the answer.
    pub fn ask(&self, server: &Server, body: &str) -> serde_json::Value {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}/v1/online-features", server.address);
        let mut answer = agent.post(&url).send(body).expect("an answer");
        serde_json::from_str(&answer.body_mut().read_to_string().expect("a body")).expect("JSON")
    }

    pub fn output(&self, line: &str) -> Output {
        self.command(line).output().expect("the program runs")
    }

    /// What a command did: its exit code, and what it wrote where.
    pub fn run(&self, line: &str) -> String {
        told(&self.output(line))
    }

    /// Runs a command that must succeed; what it wrote to stdout.
    pub fn does(&self, line: &str) -> String {
        let output = self.output(line);
        assert!(output.status.success(), "asof {line}\n{}", told(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs a command that must succeed; the JSON that it wrote to stdout.
    pub fn json(&self, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.does(line)).expect("JSON")
    }

    /// The same with what differs from run to run masked, for comparing without a snapshot.
    pub fn masked(&self, line: &str) -> String {
        let mut text = self.run(line).replace(&self.path().display().to_string(), "[DIR]");
        for (pattern, shown) in MASKS {
            text = regex::Regex::new(pattern).expect("a pattern").replace_all(&text, shown).into_owned();
        }
        text
    }

    /// Starts a server on a free port, and waits until it listens.
    pub fn serve(&self) -> Server {
        self.serve_with("")
    }

    /// The same with further options.
    pub fn serve_with(&self, options: &str) -> Server {
        let mut command = self.command(&format!("serve --listen 127.0.0.1:0 {options}"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a server");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let mut seen = Vec::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the server ended:\n{}", seen.join("\n")) };
            let found = line.split_whitespace().find_map(|word| {
                word.find("127.0.0.1:").map(|at| word[at..].trim_end_matches(['`', '"', '/']).to_owned())
            });
            seen.push(line);
            if let Some(address) = found {
                break address;
            }
        };
        // The rest of the log is read, so that the server never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, address }
    }
}

/// A running server, which ends with this.
pub struct Server {
    pub child: Child,
    pub address: String,
}

impl Server {
    /// Asks it to stop as a user does; its exit code.
    #[cfg(unix)]
    pub fn stop(mut self) -> Option<i32> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(told.success());
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn told(output: &Output) -> String {
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("exit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}")
}

/// The files of an example of this repository.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}
