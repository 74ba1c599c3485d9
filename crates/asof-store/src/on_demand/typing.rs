//! Views on demand at apply: inputs get their versions, expressions their types, and what they say is recorded.

use std::collections::{BTreeMap, BTreeSet};

use asof_expression::{Expression, ExpressionError, Place, Problem as Wrong, Scope};
use asof_model::ViewId;
use asof_model::definition::{Places, Problem, ReadDefinitions};
use asof_model::on_demand::{ComputationMeaning, OnDemand, Read};
use asof_model::plan::{Catalog, ObjectKind, resolve_inputs};
use asof_model::spec::{Definitions, Feature, View};

use crate::StoreError;

/// The longest expression that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// Finds out what the expressions of the files' views on demand say, and records it in `read`. `active`: the view versions
/// whose data is complete.
///
/// # Errors
/// [`StoreError::Definitions`] with every problem, at its place.
pub(crate) fn type_on_demand(
    recorded: &Catalog,
    read: &mut ReadDefinitions,
    active: &BTreeSet<ViewId>,
) -> Result<(), StoreError> {
    resolve_inputs(&mut read.definitions, recorded, active);
    let known = Known { new: &read.definitions, old: &recorded.definitions };
    let mut problems = Vec::new();
    let mut typed = Vec::new();
    let in_cycles = known.refuse_cycles(&read.places, &mut problems);
    for view in read.definitions.views.values() {
        let Some(on_demand) = view.on_demand.as_ref().filter(|_| !in_cycles.contains(&view.id)) else {
            continue;
        };
        typed.push(known.typed(view, on_demand, &read.places, &mut problems));
    }
    if problems.is_empty() {
        read.definitions.views.extend(typed.into_iter().map(|view| (view.id.clone(), view)));
        return Ok(());
    }
    problems.sort();
    Err(StoreError::Definitions(problems))
}

/// The scope of the expressions of a view: request fields by their names; features of inputs, and the view's own, with
/// the name of their view, and without it where one view alone has them.
pub(crate) fn scope<'a>(
    view: &View,
    on_demand: &OnDemand,
    input: impl Fn(&ViewId) -> Option<&'a View>,
) -> Scope {
    let features = |view: &View| -> Vec<_> {
        view.features.iter().map(|feature| (feature.name.clone(), feature.value_type)).collect()
    };
    let fields = on_demand.request.iter().map(|field| (field.name.clone(), field.value_type));
    let mut scope = Scope::new(fields).with_request_timestamp();
    for written in &on_demand.inputs {
        if let Some(input) = written.id().and_then(|id| input(&id)) {
            scope = scope.with_qualified(&written.view, features(input));
        }
    }
    scope.with_qualified(&view.id.name, features(view))
}

/// What an expression reads, in order of first use.
pub(crate) fn reads(expression: &Expression) -> Vec<Read> {
    let read = |name: &String| match name.split_once('.') {
        Some((view, feature)) => Read::Feature { view: view.to_owned(), feature: feature.to_owned() },
        None => Read::Request(name.clone()),
    };
    expression.columns().iter().map(read).collect()
}

/// The views that there are: those of the files, and those that are kept.
struct Known<'a> {
    new: &'a Definitions,
    old: &'a Definitions,
}

impl<'a> Known<'a> {
    fn view(&self, id: &ViewId) -> Option<&'a View> {
        self.new.views.get(id).or_else(|| self.old.views.get(id))
    }

    /// Reports views that read each other, each circle once. Returns the views of all circles.
    fn refuse_cycles(&self, places: &Places, problems: &mut Vec<Problem>) -> BTreeSet<ViewId> {
        let inputs = |id: &ViewId| -> Vec<ViewId> {
            let on_demand = self.view(id).and_then(|view| view.on_demand.as_ref());
            on_demand.iter().flat_map(|on_demand| &on_demand.inputs).filter_map(|input| input.id()).collect()
        };
        let mut all = BTreeSet::new();
        for circle in circles(self.new.views.keys().cloned(), inputs) {
            let view = &circle[0];
            let next = circle.get(1).unwrap_or(view);
            let place = inputs(view).iter().position(|input| input == next).unwrap_or(0);
            let message = format!("views read each other: {}", in_a_circle(&circle));
            let hint =
                format!("take `{next}` out of the inputs of `{view}`, or another of them out of its own");
            problems.push(problem(places, view, &format!("inputs.{place}"), None, message, Some(hint)));
            all.extend(circle);
        }
        all
    }

    /// A view with its expressions understood.
    fn typed(&self, view: &View, on_demand: &OnDemand, places: &Places, problems: &mut Vec<Problem>) -> View {
        let mut typed = view.clone();
        let scope = scope(view, on_demand, |id| self.view(id));
        let mut own: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut meanings: Vec<Option<ComputationMeaning>> = Vec::with_capacity(view.features.len());
        for feature in &view.features {
            let Some(computation) = &feature.computation else {
                meanings.push(None);
                continue;
            };
            let of = format!("view `{}`, feature `{}`", view.id, feature.name);
            let path = format!("features.{}.expr", feature.name);
            let meaning = match understood(feature, &computation.expr, &scope) {
                Ok(meaning) => Some(meaning),
                Err(error) => {
                    let message = format!("{of}: {}", in_words(&error));
                    problems.push(problem(places, &view.id, &path, error.place, message, error.hint));
                    None
                }
            };
            meanings.push(meaning);
        }
        for (feature, meaning) in view.features.iter().zip(&meanings) {
            let reads = meaning.iter().flat_map(|meaning| &meaning.reads);
            let of_own = reads.filter_map(|read| match read {
                Read::Feature { view: of, feature } if *of == view.id.name => Some(feature.as_str()),
                _ => None,
            });
            own.insert(&feature.name, of_own.collect());
        }
        let reads = |name: &&str| own.get(*name).cloned().unwrap_or_default();
        for circle in circles(own.keys().copied(), reads) {
            let path = format!("features.{}.expr", circle[0]);
            let message = match circle.as_slice() {
                [one] => format!("view `{}`: feature `{one}` reads itself", view.id),
                _ => format!("view `{}`: features read each other: {}", view.id, in_a_circle(&circle)),
            };
            let hint = "a feature is computed of others, which must be known before".to_owned();
            problems.push(problem(places, &view.id, &path, None, message, Some(hint)));
        }
        for (feature, meaning) in typed.features.iter_mut().zip(meanings) {
            if let Some(computation) = &mut feature.computation {
                computation.meaning = meaning;
            }
        }
        typed
    }
}

/// What an expression says, where its values are of the type that the feature declares, or become so by themselves.
fn understood(feature: &Feature, text: &str, scope: &Scope) -> Result<ComputationMeaning, ExpressionError> {
    let expression = Expression::parse(text, scope)?;
    let (found, declared) = (expression.value_type(), feature.value_type);
    let meaning = ComputationMeaning { text: expression.to_string(), reads: reads(&expression) };
    let casts = expression.casts_to(declared);
    if expression.widened_to(declared).is_some() {
        return Ok(meaning);
    }
    let shown =
        if text.chars().count() > SHOWN_CHARS_MAX || text.contains('\n') { "..." } else { text.trim() };
    let hint = match casts {
        true => format!("write `cast({shown} as {declared})`, or declare `type: {found}`"),
        false => format!("declare `type: {found}`"),
    };
    let what = format!("feature `{}` is declared {declared}: its expression", feature.name);
    let problem = Wrong::WrongType { what, expected: declared.to_string(), found: found.to_string() };
    Err(ExpressionError { problem: Box::new(problem), place: None, hint: Some(hint) })
}

/// What is wrong with an expression, in the words of views on demand.
fn in_words(error: &ExpressionError) -> String {
    match error.problem.as_ref() {
        Wrong::UnknownColumn { name } => {
            format!("`{name}` is neither a request field nor a feature of an input")
        }
        Wrong::WrongType { expected, found, .. } if error.place.is_none() => {
            format!("its expression is {found}, and it is declared {expected}")
        }
        other => other.to_string(),
    }
}

/// A problem at a key of a view, or at a place within the text of that key.
fn problem(
    places: &Places,
    view: &ViewId,
    path: &str,
    within: Option<Place>,
    message: String,
    hint: Option<String>,
) -> Problem {
    let (kind, name) = (ObjectKind::View, view.to_string());
    let inside = within.and_then(|at| places.within(kind, &name, path, at.line, at.column));
    let place = inside.or_else(|| places.key(kind, &name, path));
    let (file, line, column) =
        place.map_or((String::new(), 0, 0), |place| (place.file.to_owned(), place.line, place.column));
    Problem { file, line, column, message, hint }
}

/// Names that lead back to the first of them.
fn in_a_circle<T: std::fmt::Display>(circle: &[T]) -> String {
    let names: Vec<String> = circle.iter().chain(circle.first()).map(|name| format!("`{name}`")).collect();
    names.join(" -> ")
}

/// The circles among things that lead to others. Each begins with its least member; a thing that is in several circles may
/// stand in one of them alone.
fn circles<T: Ord + Clone>(all: impl IntoIterator<Item = T>, leads_to: impl Fn(&T) -> Vec<T>) -> Vec<Vec<T>> {
    // The first is followed first.
    let leads_to = |thing: &T| {
        let mut leads = leads_to(thing);
        leads.reverse();
        leads
    };
    let mut done: BTreeSet<T> = BTreeSet::new();
    let mut found = Vec::new();
    for start in all {
        // The way from `start`, each step with what is left to be followed from it.
        let mut way: Vec<(T, Vec<T>)> = Vec::new();
        if !done.contains(&start) {
            way.push((start.clone(), leads_to(&start)));
        }
        while let Some((_, left)) = way.last_mut() {
            let Some(next) = left.pop() else {
                done.extend(way.pop().map(|(thing, _)| thing));
                continue;
            };
            if let Some(first) = way.iter().position(|(thing, _)| *thing == next) {
                let mut circle: Vec<T> = way[first..].iter().map(|(thing, _)| thing.clone()).collect();
                let least = (0..circle.len()).min_by(|a, b| circle[*a].cmp(&circle[*b])).unwrap_or(0);
                circle.rotate_left(least);
                found.push(circle);
            } else if !done.contains(&next) {
                let leads = leads_to(&next);
                way.push((next, leads));
            }
        }
    }
    found
}
