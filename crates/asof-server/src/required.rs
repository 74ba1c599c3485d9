//! Features that a request can't do without: where one of them is MISSING the request is an error, not an answer.

use asof_model::{Status, name};
use asof_store::StoreError;
use asof_store::get::OpenAnswer;
use serde_json::Value as Json;

use crate::serving::Planned;

/// Which features of a request are required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Required {
    /// None is.
    Nothing,
    /// All are.
    All,
    /// Those, by their names in the answer.
    Named(Vec<String>),
}

impl Required {
    /// Reads the field of a request: true, false, or a list of names.
    ///
    /// # Errors
    /// [`StoreError::Request`] for anything else.
    pub fn read(given: Option<Json>) -> Result<Self, StoreError> {
        let wrong = || StoreError::Request {
            message: "`required` is neither true nor false nor a list of names".to_owned(),
            hint: Some("write a list of features by their names in the answer, or true for all".to_owned()),
        };
        match given {
            None | Some(Json::Null | Json::Bool(false)) => Ok(Self::Nothing),
            Some(Json::Bool(true)) => Ok(Self::All),
            Some(Json::Array(names)) => {
                let name = |each: Json| match each {
                    Json::String(name) => Ok(name),
                    _ => Err(wrong()),
                };
                Ok(Self::Named(names.into_iter().map(name).collect::<Result<_, _>>()?))
            }
            Some(_) => Err(wrong()),
        }
    }
}

/// Refuses an answer in which a required feature is MISSING.
///
/// # Errors
/// [`StoreError::Required`], which names the first; [`StoreError::Request`] for a name that the answer does not have; a
/// damaged row.
pub(crate) fn check(
    plan: &Planned,
    required: &Required,
    rows: usize,
    open: &OpenAnswer<'_>,
) -> Result<(), StoreError> {
    let columns = &plan.online.plan.columns;
    let places: Vec<usize> = match required {
        Required::Nothing => return Ok(()),
        Required::All => (0..columns.len()).collect(),
        Required::Named(names) => {
            let place = |wanted: &String| {
                let found = columns.iter().position(|column| column.name == *wanted);
                found.ok_or_else(|| StoreError::Request {
                    message: format!("`required` names `{wanted}`, which the request does not ask for"),
                    hint: name::suggestion(wanted, columns.iter().map(|column| column.name.as_str())),
                })
            };
            names.iter().map(place).collect::<Result<_, _>>()?
        }
    };
    for place in places {
        let column = open.column(place);
        for row in 0..rows {
            if column.get(row)?.status == Status::Missing {
                return Err(StoreError::Required { feature: columns[place].name.clone(), row });
            }
        }
    }
    Ok(())
}
