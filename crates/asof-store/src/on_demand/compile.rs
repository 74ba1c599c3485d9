//! From a request to what it computes: the steps that are asked for and those below them, each once, and what they read.

use std::collections::{BTreeMap, BTreeSet};

use asof_expression::{Expression, Scope};
use asof_model::on_demand::{ComputationMeaning, OnDemand, Read};
use asof_model::plan::Catalog;
use asof_model::spec::{Feature, Selection, View};
use asof_model::{Cell, Instant, ViewId};

use super::plan::{Input, OnDemandPlan, RequestColumn, Slot, Step};
use crate::StoreError;
use crate::request::{default_of, position_of};

/// Join key to column of the request, as a service maps them.
pub(crate) type Mapping = BTreeMap<String, String>;

/// A feature of a view version, by its place.
type Place = (ViewId, usize);

/// A plan in the making.
pub(crate) struct Compiling<'a> {
    catalog: &'a Catalog,
    now: Instant,
    plan: OnDemandPlan,
    /// For each input of the plan what it is. Its join is chosen by whoever takes the plan.
    needs: Vec<Need>,
    /// The steps that there are.
    steps: BTreeMap<(Place, Mapping), usize>,
}

/// A feature of a view with rows of its own, looked up by mapped keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub view: ViewId,
    pub feature: usize,
    pub keys: Mapping,
}

impl<'a> Compiling<'a> {
    /// Nothing yet. `now`: views past their sunset are refused.
    pub fn new(catalog: &'a Catalog, now: Instant) -> Self {
        let (plan, needs) = (OnDemandPlan::default(), Vec::new());
        Self { catalog, now, plan, needs, steps: BTreeMap::new() }
    }

    /// The views with rows of their own that a view on demand reads, directly or through others.
    pub fn stored_inputs(&self, view: &'a View) -> Result<BTreeSet<ViewId>, StoreError> {
        let (mut stored, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut left = vec![view];
        while let Some(view) = left.pop() {
            if !seen.insert(&view.id) {
                continue;
            }
            let Some(on_demand) = &view.on_demand else {
                stored.insert(view.id.clone());
                continue;
            };
            for input in &on_demand.inputs {
                let id = input.id().ok_or_else(|| unresolved(view))?;
                left.push(self.view(&id)?);
            }
        }
        Ok(stored)
    }

    /// The places of the features that are selected of a view on demand. `answering`: for each view with rows of its own how
    /// many features answer, in order of addition. Of all features those are taken whose inputs answer.
    ///
    /// # Errors
    /// [`StoreError::UnknownFeature`]; [`StoreError::NotBackfilled`] for a named feature with an input that does not answer.
    pub fn selected(
        &self,
        view: &View,
        selection: &Selection,
        answering: &BTreeMap<ViewId, usize>,
    ) -> Result<Vec<usize>, StoreError> {
        let mut places = Vec::new();
        // What is known to answer already.
        let mut known = BTreeSet::new();
        match selection {
            Selection::All => {
                for place in 0..view.features.len() {
                    if self.unanswered(view, place, answering, &mut known)?.is_none() {
                        places.push(place);
                    }
                }
            }
            Selection::Named(names) => {
                for name in names {
                    let place = position_of(view, name)?;
                    if let Some((view, feature)) = self.unanswered(view, place, answering, &mut known)? {
                        let feature = self.view(&view)?.features[feature].name.clone();
                        return Err(StoreError::NotBackfilled { view, feature });
                    }
                    places.push(place);
                }
            }
        }
        Ok(places)
    }

    /// The first input of a feature, directly or through others, that does not answer. `known`: features on demand of which
    /// every input does.
    fn unanswered(
        &self,
        view: &View,
        feature: usize,
        answering: &BTreeMap<ViewId, usize>,
        known: &mut BTreeSet<Place>,
    ) -> Result<Option<Place>, StoreError> {
        let (mut seen, mut left) = (BTreeSet::new(), vec![(view.id.clone(), feature)]);
        while let Some((id, feature)) = left.pop() {
            let view = self.view(&id)?;
            if view.is_on_demand() {
                let place = (id, feature);
                if !known.contains(&place) && seen.insert(place) {
                    left.extend(self.reads_of(view, feature)?.into_iter().flatten());
                }
            } else if answering.get(&id).is_none_or(|answering| feature >= *answering) {
                return Ok(Some((id, feature)));
            }
        }
        known.extend(seen);
        Ok(None)
    }

    /// The step of a feature of a view on demand: added with all that it reads, where it is not there yet.
    ///
    /// # Errors
    /// [`StoreError::PastSunset`]; [`StoreError::Request`] for a request column of two types; [`StoreError::Corrupt`] for a
    /// view that no apply has recorded.
    pub fn step(&mut self, view: &ViewId, feature: usize, keys: &Mapping) -> Result<usize, StoreError> {
        let mut way: Vec<Place> = vec![(view.clone(), feature)];
        while let Some((id, feature)) = way.last().cloned() {
            let view = self.view(&id)?;
            let reads = self.reads_of(view, feature)?;
            let known = |place: &Place| self.steps.contains_key(&(place.clone(), keys.clone()));
            let mut below = None;
            for place in reads.into_iter().flatten().filter(|place| !known(place)) {
                if self.view(&place.0)?.is_on_demand() {
                    below = Some(place);
                    break;
                }
            }
            match below {
                Some(place) if way.contains(&place) => {
                    return Err(StoreError::Corrupt(format!("view `{id}` is computed of itself")));
                }
                Some(place) => way.push(place),
                None => {
                    if !known(&(id.clone(), feature)) {
                        let step = self.made(view, feature, keys)?;
                        self.steps.insert(((id, feature), keys.clone()), self.plan.steps.len());
                        self.plan.steps.push(step);
                    }
                    way.pop();
                }
            }
        }
        let step = self.steps.get(&((view.clone(), feature), keys.clone())).copied();
        step.ok_or_else(|| StoreError::Corrupt(format!("view `{view}` can't be computed")))
    }

    /// The plan, and what each of its inputs is.
    pub fn finish(self) -> (OnDemandPlan, Vec<Need>) {
        (self.plan, self.needs)
    }

    fn view(&self, id: &ViewId) -> Result<&'a View, StoreError> {
        let gone = || StoreError::Unknown { kind: "view", name: id.to_string(), hint: None };
        self.catalog.definitions.views.get(id).ok_or_else(gone)
    }

    /// What a feature reads: features by their places, and `None` for each field of the request.
    fn reads_of(&self, view: &View, feature: usize) -> Result<Vec<Option<Place>>, StoreError> {
        let (on_demand, _, meaning) = recorded(view, feature)?;
        let place = |read: &Read| match read {
            Read::Request(_) => Ok(None),
            Read::Feature { view: of, feature } => {
                let input = if *of == view.id.name { Some(view) } else { self.input(on_demand, of)? };
                let input = input.ok_or_else(|| unresolved(view))?;
                Ok(Some((input.id.clone(), position_of(input, feature)?)))
            }
        };
        meaning.reads.iter().map(place).collect()
    }

    fn input(&self, on_demand: &OnDemand, name: &str) -> Result<Option<&'a View>, StoreError> {
        let input = on_demand.inputs.iter().find(|input| input.view == *name);
        input.and_then(|input| input.id()).map(|id| self.view(&id)).transpose()
    }

    /// A step whose reads are all known.
    fn made(&mut self, view: &'a View, place: usize, keys: &Mapping) -> Result<Step, StoreError> {
        if let Some(sunset) = view.sunset.filter(|sunset| *sunset <= self.now) {
            return Err(StoreError::PastSunset { view: view.id.clone(), sunset });
        }
        let (on_demand, feature, meaning) = recorded(view, place)?;
        let reads = self.reads_of(view, place)?;
        let fields = on_demand.request.iter().map(|field| (field.name.as_str(), field.value_type));
        let mut scope = Scope::new(fields).with_request_timestamp();
        for (read, place) in meaning.reads.iter().zip(&reads) {
            scope = match (read, place) {
                (Read::Feature { view: of, feature }, Some((id, place))) => {
                    let value_type = self.view(id)?.features[*place].value_type;
                    scope.with_qualified(of, [(feature.as_str(), value_type)])
                }
                _ => scope,
            };
        }
        let damaged = |why: String| {
            StoreError::Corrupt(format!(
                "feature `{}` of view `{}` can't be computed: {why}",
                feature.name, view.id
            ))
        };
        let expression =
            Expression::parse(&meaning.text, &scope).map_err(|error| damaged(error.sentence()))?;
        let found = expression.value_type();
        let expression = expression
            .widened_to(feature.value_type)
            .ok_or_else(|| damaged(format!("it is {found}, not {}", feature.value_type)))?;
        let mut slots = Vec::with_capacity(reads.len());
        for read in super::typing::reads(&expression) {
            let known = meaning.reads.iter().position(|known| *known == read);
            let known = known.ok_or_else(|| damaged("it reads what was not recorded".to_owned()))?;
            slots.push(match (&read, &reads[known]) {
                (Read::Request(name), _) => Slot::Request(self.request_column(view, on_demand, name)?),
                (Read::Feature { .. }, Some(place)) if self.view(&place.0)?.is_on_demand() => {
                    let step = self.steps.get(&(place.clone(), keys.clone())).copied();
                    Slot::Step(step.ok_or_else(|| damaged("what it reads is not there".to_owned()))?)
                }
                (Read::Feature { .. }, Some(place)) => Slot::Input(self.need(place, keys)?),
                (Read::Feature { .. }, None) => return Err(damaged("what it reads is not there".to_owned())),
            });
        }
        Ok(Step {
            view: view.id.clone(),
            sunset: view.sunset,
            feature: feature.clone(),
            expression,
            reads: slots,
            default: default_of(feature).map(Cell::Value),
        })
    }

    fn request_column(&mut self, view: &View, on_demand: &OnDemand, name: &str) -> Result<usize, StoreError> {
        let field = on_demand.request.iter().find(|field| field.name == *name);
        let value_type = field.ok_or_else(|| unresolved(view))?.value_type;
        match self.plan.request.iter().position(|known| known.name == *name) {
            Some(place) if self.plan.request[place].value_type == value_type => Ok(place),
            Some(place) => {
                let known = &self.plan.request[place];
                let message = format!(
                    "`{name}` is a request field of type {} in view `{}`, and of type {value_type} in view `{}`",
                    known.value_type, known.view, view.id
                );
                let hint = "a request has one column of that name; give one of the fields another".to_owned();
                Err(StoreError::Request { message, hint: Some(hint) })
            }
            None => {
                let (name, view) = (name.to_owned(), view.id.clone());
                self.plan.request.push(RequestColumn { name, value_type, view });
                Ok(self.plan.request.len() - 1)
            }
        }
    }

    fn need(&mut self, (view, feature): &Place, keys: &Mapping) -> Result<usize, StoreError> {
        let need = Need { view: view.clone(), feature: *feature, keys: keys.clone() };
        if let Some(place) = self.needs.iter().position(|known| *known == need) {
            return Ok(place);
        }
        let of = &self.view(view)?.features[*feature];
        let (value_type, default) = (of.value_type, default_of(of));
        // Its place is chosen once the joins are known.
        self.plan.inputs.push(Input { join: usize::MAX, feature: usize::MAX, value_type, default });
        self.needs.push(need);
        Ok(self.needs.len() - 1)
    }
}

fn recorded(view: &View, feature: usize) -> Result<(&OnDemand, &Feature, &ComputationMeaning), StoreError> {
    let found = view.on_demand.as_ref().zip(view.features.get(feature));
    let found = found.and_then(|(on_demand, feature)| {
        Some((on_demand, feature, feature.computation.as_ref()?.meaning.as_ref()?))
    });
    found.ok_or_else(|| unresolved(view))
}

fn unresolved(view: &View) -> StoreError {
    StoreError::Corrupt(format!("the registry does not say what view `{}` computes", view.id))
}
