//! The windows of a view of events, as its definition says: what training, serving and verifying close.

use std::sync::Arc;

use asof_engine::transform::aggregation::aggregate;
use asof_model::plan::Catalog;
use asof_model::spec::{Repeats, Source, View};
use asof_model::{Cell, Instant, ScalarType, Value, ValueType};
use asof_online::events::{HeldEvents, StoredEvents};
use asof_oracle::windowed::{OracleEvents, OracleWindow};
use asof_window::{Ask, Closed, ClosedAt, Closing, HeldKey, HeldPlan, WindowFeature};

use crate::StoreError;

/// The windows of some features, and what they read of each event.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    /// The features, in the asked order. Their inputs are places among `inputs`.
    pub closing: Closing,
    /// What is read: places among the inputs of the view.
    pub inputs: Vec<usize>,
    /// Which of `inputs` tells events apart.
    pub identity: Option<usize>,
}

/// The windows of the features `asked`, places in the view.
///
/// # Errors
/// [`StoreError::Corrupt`] for a view that was not recorded by an apply.
pub(crate) fn windows(view: &View, source: Option<&Source>, asked: &[usize]) -> Result<Windows, StoreError> {
    let mut inputs: Vec<usize> = Vec::new();
    let mut read = |input: usize| match inputs.iter().position(|known| *known == input) {
        Some(place) => place,
        None => {
            inputs.push(input);
            inputs.len() - 1
        }
    };
    let identity = view.inputs.iter().position(|input| input.identity);
    if identity.is_some() {
        // All of an event says which of several of one identity stands, whatever is asked for.
        for input in 0..view.inputs.len() {
            read(input);
        }
    }
    let identity = identity.map(&mut read);
    let withdrawal = view.inputs.iter().position(|input| input.withdrawal).map(&mut read);
    let mut features = Vec::with_capacity(asked.len());
    for place in asked {
        let feature = &view.features[*place];
        let corrupt = || {
            StoreError::Corrupt(format!(
                "feature `{}` of view `{}` aggregates nothing",
                feature.name, view.id
            ))
        };
        let aggregation = feature.aggregation.as_ref().ok_or_else(corrupt)?;
        let meaning = aggregation.meaning.as_ref().ok_or_else(corrupt)?;
        let input = match meaning.argument {
            Some(argument) => view.inputs.get(argument).ok_or_else(corrupt)?.value_type,
            None => ValueType::Bool,
        };
        let aggregate = aggregate(&meaning.function, &meaning.parameters, input).map_err(|_| corrupt())?;
        features.push(WindowFeature {
            aggregate,
            window: aggregation.window,
            argument: meaning.argument.map(&mut read),
            filter: meaning.filter.map(&mut read),
            by: meaning.by.map(&mut read),
        });
        let gives = match meaning.by {
            Some(_) => ScalarType::try_from(aggregate.result()).map(ValueType::Map).map_err(|_| corrupt())?,
            None => aggregate.result(),
        };
        if gives != feature.value_type {
            return Err(corrupt());
        }
    }
    let closing = Closing {
        features,
        edge: view.edge,
        retention: view.retained(),
        delay: view.smallest_delay(),
        repeats: source.map_or(Repeats::default(), |source| source.repeats),
        withdrawal,
    };
    Ok(Windows { closing, inputs, identity })
}

/// The windows of the asked features of a view, closed over the events that the online store holds.
#[derive(Debug, Clone)]
pub(crate) struct OnlineWindows {
    /// Of all features of the view, so that what is kept of a key serves every request.
    plan: Arc<HeldPlan>,
    /// Of those that are asked, for keys of which nothing is kept.
    closing: Closing,
    /// The features, by their places in the view.
    asked: Vec<usize>,
    /// The types of all inputs of the view.
    types: Vec<ValueType>,
    identity: Option<usize>,
}

/// The events of a key, ready to be closed at any instant.
struct HeldWindows {
    plan: Arc<HeldPlan>,
    key: HeldKey,
}

/// What the windows of a key come to.
#[derive(Debug)]
pub(crate) struct ClosedKey {
    /// The newest event within retention.
    pub newest: Instant,
    /// For each asked feature.
    pub cells: Vec<Cell>,
}

impl OnlineWindows {
    /// The windows of the features `asked` of a view. `None`: it carries values.
    ///
    /// # Errors
    /// As [`windows`].
    pub fn of(
        catalog: &Catalog,
        view: &View,
        asked: &[usize],
        types: &[ValueType],
    ) -> Result<Option<Self>, StoreError> {
        if !view.aggregates() {
            return Ok(None);
        }
        let all: Vec<usize> = (0..view.features.len()).collect();
        let Windows { mut closing, inputs, .. } =
            windows(view, catalog.definitions.sources.get(&view.source), &all)?;
        for feature in &mut closing.features {
            for input in [&mut feature.argument, &mut feature.filter, &mut feature.by].into_iter().flatten() {
                *input = inputs[*input];
            }
        }
        closing.withdrawal = view.inputs.iter().position(|input| input.withdrawal);
        let identity = view.inputs.iter().position(|input| input.identity);
        let features = asked.iter().map(|place| closing.features[*place]).collect();
        let of_asked = Closing { features, ..closing.clone() };
        let plan = Arc::new(HeldPlan::new(closing));
        Ok(Some(Self { plan, closing: of_asked, asked: asked.to_vec(), types: types.to_vec(), identity }))
    }

    /// The types of all inputs.
    pub fn types(&self) -> &[ValueType] {
        &self.types
    }

    /// The same features for the oracle.
    pub fn for_oracle(&self, defaults: &[Option<Value>]) -> OracleEvents {
        let closing = self.plan.closing();
        let feature = |(place, default): (&usize, &Option<Value>)| {
            let feature = closing.features[*place];
            OracleWindow {
                aggregate: feature.aggregate,
                window: feature.window,
                argument: feature.argument,
                filter: feature.filter,
                by: feature.by,
                default: default.clone(),
            }
        };
        OracleEvents {
            features: self.asked.iter().zip(defaults).map(feature).collect(),
            edge: closing.edge,
            retention: closing.retention,
            delay: closing.delay,
            identity: self.identity,
            repeats: closing.repeats,
            withdrawal: closing.withdrawal,
        }
    }

    /// What the events of a key come to at `t`. `None`: the key is MISSING.
    ///
    /// # Errors
    /// A damaged entry.
    pub fn close(&self, stored: &StoredEvents, t: Instant) -> Result<Option<ClosedKey>, StoreError> {
        let (newest, cells) = match Arc::try_unwrap(stored.held(&self.types, self.identity)?) {
            // Nobody keeps them: they are few.
            Ok(held) => self.close_once(&held, t),
            Err(held) => self.close_kept(&held, t),
        };
        let Some(newest) = newest else { return Ok(None) };
        Ok(Some(ClosedKey { newest: Instant::from_micros_clamped(newest), cells }))
    }

    fn close_once(&self, held: &HeldEvents, t: Instant) -> (Option<i64>, Vec<Cell>) {
        let arguments = self.closing.arguments(&held.events);
        let asks = [Ask { t: t.micros(), known: t.micros() }];
        let mut closed = Closed::default();
        self.closing.close(&held.events, &arguments, held.within(), &asks, &mut closed);
        let cells = closed.cells.into_iter().map(|mut cells| cells.pop().unwrap_or(Cell::Null)).collect();
        (closed.newest.first().copied().flatten(), cells)
    }

    fn close_kept(&self, held: &HeldEvents, t: Instant) -> (Option<i64>, Vec<Cell>) {
        let make = |held: &HeldEvents| HeldWindows {
            plan: self.plan.clone(),
            key: HeldKey::new(self.plan.clone(), held.to_events()),
        };
        let kept = held.attached(make, |kept| kept.key.memory_bytes());
        let same = Arc::ptr_eq(&kept.plan, &self.plan) || kept.plan.closing() == self.plan.closing();
        // A feature may have been added since.
        let windows = if same { kept } else { Arc::new(make(held)) };
        let mut closed = ClosedAt::default();
        windows.key.close(&self.asked, Ask { t: t.micros(), known: t.micros() }, &mut closed);
        (closed.newest, closed.cells)
    }
}
