//! `asof plan`, and the text of a plan, which `asof apply` prints too.

use asof_model::definition::Problem;
use asof_model::plan::{Action, Plan as Decision, Step};
use clap::Args;
use serde_json::{Value, json};

use crate::arguments::{Format, FormatOption};
use crate::failure::Failure;
use crate::{Everywhere, Outcome, output};

/// What to plan.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    format: FormatOption,
}

impl Plan {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let planned = everywhere.store("asof plan")?.plan(&[]).await?;
        output::warn(&planned.warnings, everywhere);
        let revision = planned.plan.outcome.revision;
        match self.format.format {
            Format::Json => output::print_json(&json(&planned.plan, revision, &planned.warnings))?,
            Format::Text => {
                let last = match planned.plan.changes().count() as u64 {
                    0 => format!("nothing to change (registry revision {revision})"),
                    n => format!("{} to apply (registry revision {revision})", output::counted(n, "change")),
                };
                output::print(&format!("{}{last}\n", text(&planned.plan)))?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// The changes of a plan, a line each, and the objects that are kept though no file defines them.
pub(crate) fn text(plan: &Decision) -> String {
    let width = plan.changes().map(|step| step.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for step in plan.changes() {
        let sign = match step.action {
            Action::Create => '+',
            Action::Remove => '-',
            _ => '~',
        };
        let margin = format!("\n{:width$}    {:indent$}", "", "", indent = step.kind.as_str().len() + 2);
        let details = match step.details.as_slice() {
            [] => String::new(),
            lines => format!(": {}", lines.join(&margin)),
        };
        text.push_str(&format!("{sign} {:width$}  {}{details}\n", step.name, step.kind.as_str()));
    }
    for name in kept(plan).map(|step| &step.name) {
        text.push_str(&format!(
            "kept, though no file defines it: `{name}` (remove it with `asof apply --remove {name}`)\n"
        ));
    }
    text
}

/// A plan for programs.
pub(crate) fn json(plan: &Decision, revision: u64, warnings: &[Problem]) -> Value {
    let warning = |each: &Problem| {
        json!({
            "file": each.file, "line": each.line, "column": each.column, "message": each.message, "hint": each.hint,
        })
    };
    json!({
        "revision": revision,
        "changes": plan.changes().collect::<Vec<_>>(),
        "kept": kept(plan).collect::<Vec<_>>(),
        "warnings": warnings.iter().map(warning).collect::<Vec<_>>(),
    })
}

fn kept(plan: &Decision) -> impl Iterator<Item = &Step> {
    plan.steps.iter().filter(|step| step.action == Action::Keep)
}
