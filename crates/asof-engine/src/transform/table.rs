//! The columns that a query may read, and how names in it find them.

use asof_expression::{Expression, Scope};
use asof_model::{ValueType, name};
use sqlparser::ast::Ident;

use super::error::TransformError;
use super::syntax::Result;

/// The columns of a source as queries see them: by their names here, with the types that they are read as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceColumns {
    /// In the order of the files.
    pub columns: Vec<KnownColumn>,
    /// Whether these are all there are. Otherwise no file was looked at.
    pub complete: bool,
}

/// A column and its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownColumn {
    /// Its name here.
    pub name: String,
    /// Its type, or why it has none.
    pub value_type: std::result::Result<ValueType, String>,
}

impl SourceColumns {
    /// The type of the column of exactly that name.
    pub fn type_of(&self, name: &str) -> Option<ValueType> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        column.value_type.as_ref().ok().copied()
    }

    /// A column as expressions write it, in one spelling.
    pub fn named(&self, column: &str) -> String {
        let scope = Scope::new(self.typed());
        let quoted = format!("\"{}\"", column.replace('"', "\"\""));
        Expression::parse(&quoted, &scope).map_or(quoted, |typed| typed.to_string())
    }

    /// The columns with a type.
    pub(crate) fn typed(&self) -> impl Iterator<Item = (&str, ValueType)> {
        self.columns.iter().filter_map(|each| Some((each.name.as_str(), *each.value_type.as_ref().ok()?)))
    }

    /// The column that a name means. Where not all are known, a name that is not there means itself.
    pub(crate) fn find(&self, ident: &Ident) -> Result<String> {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        match find(ident, &names)? {
            Some(place) => Ok(names[place].to_owned()),
            None if !self.complete => Ok(ident.value.clone()),
            None => Err(unknown(ident, names)),
        }
    }

    /// Says of an unknown column why it has no type, where that is known.
    pub(crate) fn explain(&self, error: TransformError) -> TransformError {
        if !error.unknown_column {
            return error;
        }
        let quoted = |name: &str| error.message.starts_with(&format!("`{name}` "));
        let untyped = self.columns.iter().find_map(|column| match &column.value_type {
            Err(why) if quoted(&column.name) => Some((&column.name, why)),
            _ => None,
        });
        match untyped {
            Some((name, why)) => TransformError {
                message: format!("column `{name}` has no type: {why}"),
                hint: Some(format!("declare it with the source: `columns: {{ {name}: string }}`")),
                ..error
            },
            None if !self.complete => TransformError {
                hint: Some(
                    "the source has no files yet to learn it from; declare it: `columns: { name: int64 }`"
                        .to_owned(),
                ),
                ..error
            },
            None => error,
        }
    }
}

/// The place of the name that is meant. A quoted name is exact; another one may differ in letter case from one alone.
pub(crate) fn find(ident: &Ident, names: &[&str]) -> Result<Option<usize>> {
    if let Some(place) = names.iter().position(|name| *name == ident.value) {
        return Ok(Some(place));
    }
    let similar: Vec<usize> =
        (0..names.len()).filter(|place| names[*place].eq_ignore_ascii_case(&ident.value)).collect();
    match similar.as_slice() {
        [place] if ident.quote_style.is_none() => Ok(Some(*place)),
        [_, _, ..] if ident.quote_style.is_none() => {
            let shown: Vec<String> = similar.iter().map(|place| format!("`{}`", names[*place])).collect();
            let message = format!("`{}` could be any of {}", ident.value, shown.join(", "));
            Err(TransformError::at(ident.span, message, Some("put the one that is meant in double quotes")))
        }
        _ => Ok(None),
    }
}

/// The error for a name that no column has.
pub(crate) fn unknown<'a>(ident: &Ident, names: impl IntoIterator<Item = &'a str>) -> TransformError {
    let message = format!("`{}` is not a column here", ident.value);
    let hint = name::suggestion(&ident.value, names);
    TransformError::at(ident.span, message, hint.as_deref()).of_unknown_column()
}
