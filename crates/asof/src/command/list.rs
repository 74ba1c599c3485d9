//! `asof list`.

use clap::Args;

use crate::arguments::{Format, FormatOption};
use crate::failure::Failure;
use crate::output::Table;
use crate::{Everywhere, Outcome, output};

/// What to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    format: FormatOption,
}

impl List {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let objects = everywhere.store("asof list")?.list().await?;
        match self.format.format {
            Format::Json => output::print_json(&objects)?,
            Format::Text => {
                let mut table = Table::new(&["kind", "name", "owner", "what it is made of"]);
                for each in &objects {
                    let owner = each.owner.as_deref().unwrap_or("-");
                    table.row([each.kind.as_str(), &each.name, owner, &each.summary]);
                }
                output::print(&table.to_string())?;
            }
        }
        Ok(Outcome::Done)
    }
}
