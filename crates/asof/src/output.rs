//! What goes to stdout: text, tables and JSON; and to stderr: warnings and the log.

use std::io::{ErrorKind, IsTerminal, Write};

use asof_model::definition::Problem;
use comfy_table::{CellAlignment, presets};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::Everywhere;
use crate::failure::{Failure, Paint};

/// Writes an answer to stdout.
///
/// # Errors
/// Where it can't be written; a reader that went away (`| head`) is none.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write the answer to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes an answer to stdout as JSON.
///
/// # Errors
/// As [`print`].
/// Says on stderr what a reader should know beyond the data; nothing with `--quiet`.
pub(crate) fn remark(texts: impl IntoIterator<Item = String>, everywhere: &Everywhere) {
    if everywhere.quiet {
        return;
    }
    let mut out = std::io::stderr().lock();
    for text in texts {
        // Talk that nobody can read is no failure.
        let _ = writeln!(out, "{text}");
    }
}

pub(crate) fn print_json(answer: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(answer)
        .map_err(|error| Failure::new(format!("the answer has no JSON form: {error}")))?;
    print(&format!("{text}\n"))
}

/// Writes warnings of the definitions to stderr, unless silence was asked for.
pub(crate) fn warn(warnings: &[Problem], everywhere: &Everywhere) {
    if everywhere.quiet {
        return;
    }
    let paint = Paint::stderr();
    let mut out = std::io::stderr().lock();
    for warning in warnings {
        // Talk that nobody can read is no failure.
        let _ = writeln!(out, "{} {warning}", paint.yellow("warning:"));
        if let Some(hint) = &warning.hint {
            let _ = writeln!(out, "hint: {hint}");
        }
    }
}

/// Sends the log to stderr. What is told: warnings, with `-v` or for a server the course of things, with `-vv`
/// everything of ours. The variable `ASOF_LOG` says otherwise, such as `ASOF_LOG=asof_store=debug,warn`.
pub(crate) fn start_log(everywhere: &Everywhere, serving: bool) {
    let ours = match (everywhere.quiet, everywhere.verbose, serving) {
        (true, _, _) => "error",
        (_, 0, false) => "warn",
        (_, 0, true) | (_, 1, false) => "info",
        _ => "debug",
    };
    // What libraries log is for us, not for users: our own errors say what matters of it.
    let theirs = if everywhere.verbose > 1 { "warn" } else { "off" };
    let default = format!("{theirs},asof={ours}");
    let filter = EnvFilter::try_from_env("ASOF_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let ansi = Paint::stderr().is_colored() && std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false)
        .init();
}

/// A table without lines: columns apart by two spaces, numbers to the right.
pub(crate) struct Table {
    table: comfy_table::Table,
}

impl Table {
    /// Columns by name; those whose name begins with `#` hold numbers, and `#` is not shown.
    pub(crate) fn new(columns: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(columns.iter().map(|name| name.trim_start_matches('#')));
        for (index, name) in columns.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                if name.starts_with('#') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self { table }
    }

    /// One more row, a text for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        self.table.add_row(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
    }
}

/// A count with commas: `28,638`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with what is counted: `1 row`, `2 rows`.
pub(crate) fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Seconds for people: `0.4 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// A size for people: `1.9 MB`, in powers of 1000, as in `asof.toml`.
pub(crate) fn size(bytes: u64) -> String {
    const STEP: f64 = 1000.0;
    let mut amount = bytes as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if amount < STEP {
            return if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") };
        }
        amount /= STEP;
    }
    format!("{amount:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: counts and sizes read as people write them.
    #[test]
    fn numbers() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "row"), counted(0, "row")], ["1 row", "0 rows"]);
        assert_eq!([0, 999, 1_900_000, 5_000_000_000_000].map(size), ["0 B", "999 B", "1.9 MB", "5.0 TB"]);
    }

    /// Goal: columns line up, numbers to the right, and no line ends in spaces.
    #[test]
    fn table() {
        let mut table = Table::new(&["view", "#rows"]);
        table.row(["a", "1"]);
        table.row(["longer", "10"]);
        assert_eq!(table.to_string(), "view    rows\na          1\nlonger    10\n");
    }
}
