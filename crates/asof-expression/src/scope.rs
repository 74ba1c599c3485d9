//! What an expression may refer to.

use asof_model::{ValueType, name};

use crate::error::Problem;

/// The columns that an expression may read, and whether it may ask for the instant of the request.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    columns: Vec<Known>,
    table: Option<String>,
    request_timestamp: bool,
}

/// A column of a scope.
#[derive(Debug, Clone)]
struct Known {
    /// The name of what it belongs to, where it has to be told from columns of others.
    qualifier: Option<String>,
    /// Its name there.
    name: String,
    /// What [`crate::Expression::columns`] calls it: its name, or `qualifier.name`.
    full: String,
    of: ValueType,
}

/// A column that was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'s> {
    /// What [`crate::Expression::columns`] calls it.
    pub full: &'s str,
    pub qualifier: Option<&'s str>,
    pub name: &'s str,
    pub of: ValueType,
}

/// Why a name is none of a column, with a hint.
pub(crate) type NotFound = (Problem, Option<String>);

impl Scope {
    /// A scope of these columns, in this order. `request_timestamp()` is refused unless
    /// [`Scope::with_request_timestamp`] allows it.
    pub fn new(columns: impl IntoIterator<Item = (impl Into<String>, ValueType)>) -> Self {
        let known = |(name, of): (_, ValueType)| {
            let name: String = Into::into(name);
            Known { qualifier: None, full: name.clone(), name, of }
        };
        Self { columns: columns.into_iter().map(known).collect(), table: None, request_timestamp: false }
    }

    /// Allows `request_timestamp()`: for on-demand features, where `t` is known.
    pub fn with_request_timestamp(mut self) -> Self {
        self.request_timestamp = true;
        self
    }

    /// Names the table that the columns belong to, so that `table.column` reads one of them.
    pub fn with_table(mut self, table: impl Into<String>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// Adds columns that are read as `qualifier.column`, and as `column` alone where no other qualifier has one of that
    /// name. A column without a qualifier goes before them. [`crate::Expression::columns`] and the canonical text name
    /// them with their qualifier, however they were written, so that a column that is added later changes no text.
    pub fn with_qualified(
        mut self,
        qualifier: &str,
        columns: impl IntoIterator<Item = (impl Into<String>, ValueType)>,
    ) -> Self {
        let known = |(name, of): (_, ValueType)| {
            let name: String = Into::into(name);
            Known { qualifier: Some(qualifier.to_owned()), full: format!("{qualifier}.{name}"), name, of }
        };
        self.columns.extend(columns.into_iter().map(known));
        self
    }

    /// The columns with their types, as [`crate::Expression::columns`] calls them.
    pub fn columns(&self) -> impl Iterator<Item = (&str, ValueType)> {
        self.columns.iter().map(|known| (known.full.as_str(), known.of))
    }

    pub(crate) fn allows_request_timestamp(&self) -> bool {
        self.request_timestamp
    }

    /// Whether `qualifier` is the name of the table.
    pub(crate) fn is_table(&self, qualifier: &str) -> bool {
        self.table.as_deref().is_some_and(|table| table.eq_ignore_ascii_case(qualifier))
    }

    /// The column of that name. A quoted name is exact; another one may differ in letter case from a single column.
    pub(crate) fn find(&self, wanted: &str, exact: bool) -> Result<Found<'_>, NotFound> {
        let plain = || self.columns.iter().filter(|known| known.qualifier.is_none());
        let qualified = || self.columns.iter().filter(|known| known.qualifier.is_some());
        let same = |known: &&Known| known.name == wanted;
        if let Some(known) = plain().find(same) {
            return Ok(known.found());
        }
        let similar = |known: &&Known| !exact && known.name.eq_ignore_ascii_case(wanted);
        let mut candidates: Vec<&Known> = qualified().filter(same).collect();
        if candidates.is_empty() {
            candidates = plain().filter(similar).collect();
        }
        if candidates.is_empty() {
            candidates = qualified().filter(similar).collect();
        }
        match candidates.as_slice() {
            [one] => Ok(one.found()),
            [] => {
                let known = self.columns.iter().map(|known| known.name.as_str());
                let hint = name::suggestion(wanted, known);
                Err((Problem::UnknownColumn { name: wanted.to_owned() }, hint))
            }
            several => Err(ambiguous(wanted, several)),
        }
    }

    /// The column of that name with that qualifier, each exact where it was quoted. `None`: there are no qualifiers here.
    pub(crate) fn find_qualified(
        &self,
        (qualifier, exact_qualifier): (&str, bool),
        (wanted, exact): (&str, bool),
    ) -> Option<Result<Found<'_>, NotFound>> {
        let qualified = || self.columns.iter().filter_map(|known| Some((known.qualifier.as_deref()?, known)));
        qualified().next()?;
        let same = |one: &str, other: &str, exact: bool| match exact {
            true => one == other,
            false => one.eq_ignore_ascii_case(other),
        };
        let of_qualifier: Vec<&Known> = qualified()
            .filter(|(of, _)| same(of, qualifier, exact_qualifier))
            .map(|(_, known)| known)
            .collect();
        let unknown =
            |hint| Some(Err((Problem::UnknownColumn { name: format!("{qualifier}.{wanted}") }, hint)));
        if of_qualifier.is_empty() {
            let known = qualified().map(|(of, _)| of);
            let plain = self.columns.iter().filter(|known| known.qualifier.is_none() && known.name == wanted);
            let hint = match plain.into_iter().next() {
                Some(_) => Some(format!("write `{wanted}` alone")),
                None => name::suggestion(qualifier, known),
            };
            return unknown(hint);
        }
        if let Some(known) = of_qualifier.iter().find(|known| known.name == wanted) {
            return Some(Ok(known.found()));
        }
        let similar: Vec<&Known> =
            of_qualifier.iter().copied().filter(|known| same(&known.name, wanted, exact)).collect();
        match similar.as_slice() {
            [one] => Some(Ok(one.found())),
            [] => unknown(name::suggestion(wanted, of_qualifier.iter().map(|known| known.name.as_str()))),
            several => Some(Err(ambiguous(wanted, several))),
        }
    }
}

impl Known {
    fn found(&self) -> Found<'_> {
        Found { full: &self.full, qualifier: self.qualifier.as_deref(), name: &self.name, of: self.of }
    }
}

fn ambiguous(wanted: &str, several: &[&Known]) -> NotFound {
    let names: Vec<String> = several.iter().map(|known| format!("`{}`", known.full)).collect();
    let hint = match several.iter().find(|known| known.qualifier.is_some()) {
        Some(known) => format!("write which one is meant, such as `{}`", known.full),
        None => "put the one that is meant in double quotes".to_owned(),
    };
    (Problem::AmbiguousColumn { name: wanted.to_owned(), candidates: names.join(", ") }, Some(hint))
}
