//! `asof init DIR`: a project that works at once.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use asof_model::settings::{LISTEN_DEFAULT, OFFLINE_URL_DEFAULT, ONLINE_URL_DEFAULT, REGISTRY_URL_DEFAULT};
use asof_store::project::SETTINGS_FILE;
use clap::{Args, ValueEnum};

use super::schema::{self, SCHEMA_FILE};
use crate::failure::Failure;
use crate::{Outcome, output};

/// Where to begin.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder; it is created where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// What to begin with
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    template: Template,
}

/// A project to begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Template {
    /// A small working example with its data
    #[default]
    Starter,
    /// Definitions to fill in, without data
    Empty,
}

impl Template {
    /// Its files but the settings: path in the project, and text.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Starter => &[
                ("features.yaml", include_str!("../../templates/starter/features.yaml")),
                ("data/customers.csv", include_str!("../../templates/starter/data/customers.csv")),
                ("data/labels.csv", include_str!("../../templates/starter/data/labels.csv")),
            ],
            Self::Empty => &[("features.yaml", include_str!("../../templates/empty/features.yaml"))],
        }
    }

    /// What to do next, one command a line.
    fn next(self) -> &'static str {
        match self {
            Self::Starter => {
                "  asof apply\n  asof materialize\n  asof get --service churn customer_id=7\n  \
                 asof train --labels data/labels.csv --service churn -o training.parquet\n  \
                 asof verify --oracle\n  asof serve\n"
            }
            Self::Empty => "  edit features.yaml\n  asof plan\n  asof apply\n",
        }
    }
}

/// What `.gitignore` holds: the folder of everything that is made and not written.
const IGNORED: &str = ".asof/";

impl Init {
    pub(crate) fn run(&self) -> Result<Outcome, Failure> {
        let folder = &self.folder;
        let settings = settings(&project_name(folder));
        let schema = schema::text();
        let mut files = vec![(SETTINGS_FILE, settings.as_str()), (SCHEMA_FILE, schema.as_str())];
        files.extend(self.template.files());
        if folder.join(SETTINGS_FILE).exists() {
            return Err(Failure::new(format!("`{}` is a project already", folder.display()))
                .hint(format!("`asof plan --project {}` shows what it defines", folder.display())));
        }
        if let Some((taken, _)) = files.iter().find(|(file, _)| folder.join(file).exists()) {
            return Err(Failure::new(format!("`{}` is there already", folder.join(taken).display())).hint(
                "begin in an empty folder, or write an `asof.toml` of your own: an empty one will do",
            ));
        }
        // The settings come last: what is not yet whole is no project.
        for (file, text) in files.iter().rev() {
            write(&folder.join(file), text)?;
        }
        ignore(&folder.join(".gitignore"))?;
        let shown = folder.display();
        output::print(&format!(
            "began a project in `{shown}`: {}\n\nnext:\n  cd {shown}\n{}",
            files.iter().map(|(file, _)| format!("`{file}`")).collect::<Vec<_>>().join(", "),
            self.template.next()
        ))?;
        Ok(Outcome::Done)
    }
}

/// Settings that name every key with its default.
fn settings(project: &str) -> String {
    format!(
        "# Settings of this project. Every key is optional; what is commented out is the default.\n\
         # ${{NAME}} in a value reads an environment variable.\n\
         project = \"{project}\"\n\n\
         # [registry]                              # what was applied\n\
         # url = \"{REGISTRY_URL_DEFAULT}\"\n\n\
         # [offline]                               # history: every row, for training\n\
         # url = \"{OFFLINE_URL_DEFAULT}\"\n\n\
         # [online]                                # the latest rows, for serving\n\
         # url = \"{ONLINE_URL_DEFAULT}\"\n\
         # cache = \"1GB\"                           # memory for rows\n\n\
         # [server]\n\
         # listen = \"{LISTEN_DEFAULT}\"             # this machine alone can reach it\n"
    )
}

/// A name for the project: the folder's, with `-` for what a name can't hold.
fn project_name(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() { "project".to_owned() } else { name.to_owned() }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::write(path, text)).map_err(|error| {
        Failure::new(format!("cannot write `{}`: {error}", path.display()))
            .hint("check that the folder can be written and its disk has room")
    })
}

/// Adds our folder to `.gitignore`, and leaves what stands there.
fn ignore(path: &Path) -> Result<(), Failure> {
    let before = match fs::read_to_string(path) {
        Ok(before) => before,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::new(format!("cannot read `{}`: {error}", path.display()))),
    };
    if before.lines().any(|line| line.trim() == IGNORED) {
        return Ok(());
    }
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    write(path, &format!("{before}{gap}{IGNORED}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use asof_model::settings::Settings;

    /// Goal: the defaults in the comments are the defaults of the program, and all of them.
    #[test]
    fn comments_tell_the_defaults() {
        let read = |text: &str| Settings::read("asof.toml", text, "other", &|_| None).expect("settings");
        let written = settings("shop");
        assert_eq!(read(&written), Settings::new("shop"));
        let uncommented: String = written
            .lines()
            .skip(2)
            .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
            .collect();
        assert_eq!(read(&uncommented), Settings::new("shop"));
        for key in ["[registry]", "[offline]", "[online]", "[server]", "\nurl", "\ncache", "\nlisten"] {
            assert!(uncommented.contains(key), "{key}");
        }
    }

    /// Goal: any folder gives a name that settings accept.
    #[test]
    fn project_names() {
        assert_eq!(project_name(Path::new("/a/my shop")), "my-shop");
        assert_eq!(project_name(Path::new("/a/_x")), "x");
        assert_eq!(project_name(Path::new("/")), "project");
        assert_eq!(project_name(Path::new("/a/日本")), "project");
    }
}
