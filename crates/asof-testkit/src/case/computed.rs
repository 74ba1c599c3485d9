//! Views on demand in case files, and what the naive rule says of them: each expression by itself, for one row, by name.

use asof_expression::{Expression, Scope};
use asof_model::{Cell, Status, ValueType};
use asof_oracle::OracleValue;

use super::parse::{Section, form, read_view_column};
use super::run::stored;
use super::{Case, CaseError, CaseFeature, CaseKey, CaseLabel, Expectation, FeaturePlace};

/// A view on demand.
#[derive(Debug, Clone)]
pub struct CaseComputed {
    /// The line that opens it, from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// The names of the views that it reads, all of them above.
    pub inputs: Vec<String>,
    /// Its request fields.
    pub request: Vec<CaseKey>,
    /// Its features.
    pub features: Vec<CaseFeature>,
    /// The expression of each feature, as written.
    pub expressions: Vec<String>,
}

pub(super) fn read_computed(section: &Section<'_>, case: &Case) -> Result<CaseComputed, CaseError> {
    let line = section.line;
    let Some((name, options)) = section.words.split_first() else {
        return form(line, "what is computed has a name");
    };
    let mut computed = CaseComputed {
        line,
        name: (*name).to_owned(),
        inputs: vec![],
        request: vec![],
        features: vec![],
        expressions: vec![],
    };
    let mut names =
        case.views.iter().map(|view| &view.name).chain(case.computed.iter().map(|each| &each.name));
    if names.any(|known| known == name) {
        return form(line, format!("a second view `{name}`"));
    }
    for option in options {
        let wrong = |problem: String| CaseError::Form { line, problem: format!("`{option}`: {problem}") };
        match option.split_once('=') {
            Some(("inputs", names)) => computed.inputs = names.split(',').map(str::to_owned).collect(),
            Some(("request", fields)) => {
                for field in fields.split(',') {
                    let column = read_view_column(field).map_err(wrong)?;
                    let key = CaseKey { name: column.name.to_owned(), value_type: column.value_type };
                    computed.request.push(key);
                }
            }
            _ => return Err(wrong("what is computed takes inputs= and request=".to_owned())),
        }
    }
    for input in &computed.inputs {
        if case.features_of(input).is_none() {
            return form(line, format!("no view above is `{input}`"));
        }
    }
    let (header_line, header) = &section.table[0];
    if header != &["feature", "expr"] {
        return form(*header_line, "the columns are `feature` and `expr`");
    }
    for (line, cells) in &section.table[1..] {
        let column =
            read_view_column(cells[0]).map_err(|problem| CaseError::Form { line: *line, problem })?;
        let (name, value_type, default) = (column.name.to_owned(), column.value_type, column.default);
        computed.features.push(CaseFeature { name, value_type, default });
        computed.expressions.push(cells[1].to_owned());
    }
    for (place, (line, _)) in section.table[1..].iter().enumerate() {
        if let Err(problem) = computed.expression(case, place) {
            return form(*line, problem);
        }
    }
    Ok(computed)
}

impl CaseComputed {
    /// The expression of a feature.
    fn expression(&self, case: &Case, feature: usize) -> Result<Expression, String> {
        let typed = |features: &[CaseFeature]| -> Vec<(String, ValueType)> {
            features.iter().map(|feature| (feature.name.clone(), feature.value_type)).collect()
        };
        let fields = self.request.iter().map(|field| (field.name.clone(), field.value_type));
        let mut scope = Scope::new(fields).with_request_timestamp();
        for input in &self.inputs {
            scope = scope.with_qualified(input, typed(case.features_of(input).unwrap_or_default()));
        }
        scope = scope.with_qualified(&self.name, typed(&self.features));
        let expression =
            Expression::parse(&self.expressions[feature], &scope).map_err(|error| error.sentence())?;
        let (found, declared) = (expression.value_type(), self.features[feature].value_type);
        expression.widened_to(declared).ok_or_else(|| format!("the expression is {found}, not {declared}"))
    }
}

impl Case {
    fn features_of(&self, view: &str) -> Option<&[CaseFeature]> {
        let views = self.views.iter().map(|view| (&view.name, view.features.as_slice()));
        let computed = self.computed.iter().map(|each| (&each.name, each.features.as_slice()));
        views.chain(computed).find(|(name, _)| *name == view).map(|(_, features)| features)
    }

    /// The views with rows of their own that a feature is read from: its own, or those below what is computed. Places in
    /// [`Case::views`], each once.
    pub fn stored_of(&self, place: FeaturePlace) -> Vec<usize> {
        if place.view < self.views.len() {
            return vec![place.view];
        }
        let names = self.computed_of(place).into_iter().flat_map(|computed| &computed.inputs);
        let mut stored: Vec<usize> =
            names.filter_map(|name| self.views.iter().position(|view| view.name == *name)).collect();
        stored.sort_unstable();
        stored.dedup();
        stored
    }

    /// The views on demand that a feature is computed by: its own and those below it.
    pub fn computed_of(&self, place: FeaturePlace) -> Vec<&CaseComputed> {
        let Some(first) = place.view.checked_sub(self.views.len()) else { return Vec::new() };
        let (mut found, mut left) = (Vec::new(), vec![first]);
        while let Some(computed) = left.pop().map(|place| &self.computed[place]) {
            found.push(computed);
            let below = |name: &String| self.computed.iter().position(|each| each.name == *name);
            left.extend(computed.inputs.iter().filter_map(below));
        }
        found
    }

    /// What a feature on demand is for a label.
    pub(super) fn compute(
        &self,
        expectation: &Expectation,
        label: &CaseLabel,
        place: FeaturePlace,
    ) -> OracleValue {
        let computed = &self.computed[place.view - self.views.len()];
        // It was read when the file was.
        let Ok(expression) = computed.expression(self, place.feature) else {
            return OracleValue { cell: Cell::Error, status: Status::Error };
        };
        let cell = |name: &String| match name.split_once('.') {
            None => {
                let field = expectation.request.iter().position(|field| field.name == *name);
                let value = field.and_then(|field| label.request[field].clone());
                value.map_or(Cell::Null, Cell::Value)
            }
            Some((view, feature)) => {
                let views = self.views.iter().map(|view| (&view.name, &view.features));
                let computed = self.computed.iter().map(|each| (&each.name, &each.features));
                let mut all = views.chain(computed).enumerate();
                let found = all.find(|(_, (name, _))| *name == view).and_then(|(view, (_, features))| {
                    let feature = features.iter().position(|each| each.name == feature)?;
                    Some(FeaturePlace { view, feature })
                });
                let value = match found {
                    Some(place) if place.view < self.views.len() => {
                        stored(self, expectation, label, place, false)
                    }
                    Some(place) => self.compute(expectation, label, place),
                    None => return Cell::Error,
                };
                match (value.cell, value.status) {
                    // After its default: what has none is in error still.
                    (Cell::Null, Status::Error) => Cell::Error,
                    (cell, _) => cell,
                }
            }
        };
        let cells: Vec<Cell> = expression.columns().iter().map(cell).collect();
        let default = computed.features[place.feature].default.as_ref().map(|default| default.cell.clone());
        match expression.evaluate_row(&cells, label.t) {
            Cell::Value(value) => OracleValue { cell: Cell::Value(value), status: Status::Present },
            Cell::Null => OracleValue { cell: default.unwrap_or(Cell::Null), status: Status::Null },
            Cell::Error => OracleValue { cell: default.unwrap_or(Cell::Null), status: Status::Error },
        }
    }
}
