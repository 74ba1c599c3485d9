//! `asof init DIR`: a project that works at once.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use asof_model::settings::{LISTEN_DEFAULT, OFFLINE_URL_DEFAULT, ONLINE_URL_DEFAULT, REGISTRY_URL_DEFAULT};
use asof_store::project::SETTINGS_FILE;
use clap::Args;

use crate::failure::Failure;
use crate::{Outcome, output};

/// Where to begin.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder; it is created where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

const FEATURES: &str = r#"# A small example: will a customer leave? Change it, or begin your own files beside it.
# Every *.yaml file of this folder is read.

entities:
  customer:
    keys: { customer_id: int64 }          # join key: type
    description: Somebody who has an account with us

sources:
  customers_table:
    path: data/customers.csv              # a file or folder of Parquet or CSV
    event: event_timestamp                # when the fact became true
    created: created_timestamp            # when it was known; optional

feature_views:
  customer_profile:
    entities: [customer]
    source: customers_table
    # ttl: 90d                            # values older than this are not used
    features:
      plan: string
      orders_90d: int64
      balance: { type: float64, description: In euros, default: 0 }
    owner: you

feature_services:
  churn:
    description: What the churn model reads
    features:
      - customer_profile: "*"
"#;

const CUSTOMERS: &str = "\
customer_id,event_timestamp,created_timestamp,plan,orders_90d,balance
7,2026-01-05T08:00:00Z,2026-01-05T09:00:00Z,free,3,12.5
7,2026-03-02T08:00:00Z,2026-03-02T09:00:00Z,plus,9,80.25
8,2026-01-17T08:00:00Z,2026-01-17T09:00:00Z,plus,5,0
8,2026-02-21T08:00:00Z,2026-02-21T09:00:00Z,free,0,
9,2026-02-11T08:00:00Z,2026-02-12T17:30:00Z,free,1,4
";

const LABELS: &str = "\
customer_id,event_timestamp,left
7,2026-02-01T00:00:00Z,false
7,2026-04-01T00:00:00Z,false
8,2026-02-01T00:00:00Z,false
8,2026-03-01T00:00:00Z,true
9,2026-02-12T00:00:00Z,true
10,2026-03-01T00:00:00Z,false
";

/// What `.gitignore` holds: the folder of everything that is made and not written.
const IGNORED: &str = ".asof/";

impl Init {
    pub(crate) fn run(&self) -> Result<Outcome, Failure> {
        let folder = &self.folder;
        let settings = settings(&project_name(folder));
        let files = [
            (SETTINGS_FILE, settings.as_str()),
            ("features.yaml", FEATURES),
            ("data/customers.csv", CUSTOMERS),
            ("data/labels.csv", LABELS),
        ];
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
            "began a project in `{shown}`: `{SETTINGS_FILE}`, `features.yaml` and `data/`\n\n\
             next:\n  cd {shown}\n  asof apply\n  asof materialize\n  asof get --service churn customer_id=7\n  \
             asof train --labels data/labels.csv --service churn -o training.parquet\n  asof verify --oracle\n  \
             asof serve\n"
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
