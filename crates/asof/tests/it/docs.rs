//! The pages of `docs/`: what they show is what happens.
//!
//! A block whose first line is ```` ```yaml file=features.yaml ```` is written to that file. In a ```` ```console ````
//! block each line after `$ ` is run by a shell in the folder of the page; the lines below are what it writes, where
//! `...` stands for any text, and alone on a line for any lines; `? 1` as the first of them is its exit code. Nothing
//! below a command says only that it succeeds. Blocks with `no-run` are not run. `UPDATE_DOCS=1` writes what was seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use crate::support::{MASKS, Scene};

/// Goal: every command of every page does what the page says.
#[test]
fn pages_tell_the_truth() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut pages = Vec::new();
    collect(&docs, &mut pages);
    assert!(pages.len() > 5, "{pages:?}");
    let differences: Vec<String> = pages.iter().filter_map(|page| check(page)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// Goal: links of pages lead to files that are there.
#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md"), root.join("ARCHITECTURE.md"), root.join("CONTRIBUTING.md")];
    collect(&root.join("docs"), &mut pages);
    let link = Regex::new(r"\]\(([^)#:\s]+)(#[^)]*)?\)").unwrap();
    for page in pages {
        for found in link.captures_iter(&fs::read_to_string(&page).unwrap()) {
            let target = page.parent().unwrap().join(&found[1]);
            assert!(target.exists(), "{}: {}", page.display(), &found[1]);
        }
    }
}

/// Goal: the reference of commands is the help of the program.
#[test]
fn the_help_of_every_command() {
    let scene = Scene::empty();
    let names = scene.does("--help");
    let names =
        names.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut page = "# Commands\n\nWhat `asof COMMAND --help` says. Data goes to stdout, talk to stderr. Exit 0: done; 1: failed or \
                    differs; 2: wrong usage.\n"
        .to_owned();
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        let help = scene.does(&format!("{name} --help"));
        // What every command takes is said once, at the end.
        let own = help.split("\nEverywhere:").next().unwrap_or_default().trim_end();
        let own: String = own.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        page.push_str(&format!("\n## asof {name}\n\n```text\n{own}```\n"));
    }
    let help = scene.does("--help");
    let everywhere = help.split("\nEverywhere:\n").nth(1).unwrap_or_default();
    page.push_str(&format!("\n## Everywhere\n\n```text\n{everywhere}```\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/commands.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "the help has changed: run with UPDATE_DOCS=1"
    );
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|suffix| suffix == "md") {
            pages.push(path);
        }
    }
}

/// Runs a page. What differs, or `None`.
fn check(page: &Path) -> Option<String> {
    let text = fs::read_to_string(page).unwrap();
    if !text.contains("```console") && !text.contains(" file=") {
        return None;
    }
    let scene = Scene::empty();
    scene.write("asof.toml", "project = \"docs\"\n");
    let mut written = String::new();
    let mut lines = text.lines().peekable();
    let mut differences = Vec::new();
    while let Some(line) = lines.next() {
        written.push_str(line);
        written.push('\n');
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let mut block = Vec::new();
        while let Some(line) = lines.next_if(|line| *line != "```") {
            block.push(line);
        }
        let file = info.split_whitespace().find_map(|word| word.strip_prefix("file="));
        let mut shown = block.iter().map(|line| format!("{line}\n")).collect::<String>();
        if let Some(file) = file {
            scene.write(file, &shown);
        } else if info == "console" {
            shown.clear();
            for (command, expected) in commands(&block) {
                let seen = run(&scene, &command);
                // Nothing below a command: it succeeds, whatever it says.
                let fails = seen.first().is_some_and(|line| line.starts_with("? "));
                let same = if expected.is_empty() { !fails } else { matches(&expected, &seen) };
                if !same {
                    differences.push(format!("{}: $ {command}\n{}", page.display(), seen.join("\n")));
                }
                let below: Vec<String> =
                    if same { expected.iter().map(|line| (*line).to_owned()).collect() } else { seen };
                shown.push_str(&format!("$ {command}\n"));
                below.iter().for_each(|line| shown.push_str(&format!("{line}\n")));
            }
        }
        written.push_str(&shown);
    }
    if differences.is_empty() {
        return None;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page, written).unwrap();
        return None;
    }
    Some(differences.join("\n\n"))
}

/// The commands of a block, each with the lines below it. A line that ends in `\` goes on in the next.
fn commands<'a>(block: &[&'a str]) -> Vec<(String, Vec<&'a str>)> {
    let mut commands: Vec<(String, Vec<&str>)> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((command, below))) if command.ends_with('\\') && below.is_empty() => {
                command.push('\n');
                command.push_str(line);
            }
            (None, Some((_, below))) => below.push(line),
            (None, None) => panic!("`{line}` stands before any command"),
        }
    }
    commands
}

/// What a command wrote, stdout before stderr, below its exit code where that is not 0.
fn run(scene: &Scene, command: &str) -> Vec<String> {
    let programs = Path::new(env!("CARGO_BIN_EXE_asof")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(scene.path())
        .env("PATH", path)
        .env("COLUMNS", "100")
        .env_remove("ASOF_LOG")
        .output()
        .expect("a shell");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text = text.replace(&scene.path().display().to_string(), "/home/you/project");
    for (pattern, _) in MASKS {
        text = Regex::new(pattern).unwrap().replace_all(&text, "...").into_owned();
    }
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    match output.status.code() {
        Some(0) => {}
        code => lines.insert(0, format!("? {}", code.unwrap_or(-1))),
    }
    lines
}

/// Whether the lines seen are those expected.
fn matches(expected: &[&str], seen: &[String]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return seen.is_empty() };
    if *first == "..." {
        return (0..=seen.len()).any(|skipped| matches(rest, &seen[skipped..]));
    }
    seen.split_first()
        .is_some_and(|(line, others)| line_matches(first.trim_end(), line) && matches(rest, others))
}

fn line_matches(expected: &str, seen: &str) -> bool {
    let parts: Vec<String> = expected.split("...").map(regex::escape).collect();
    Regex::new(&format!("^{}$", parts.join(".*"))).unwrap().is_match(seen)
}
