//! What the features of a view share of a key that is held. It is the same for all keys.

use asof_model::Duration;
use asof_model::window::{Span, Window};

use crate::Aggregate;
use crate::closing::{Closing, WindowFeature};

/// The features of a view as they are read of held keys.
#[derive(Debug)]
pub struct HeldPlan {
    closing: Closing,
    series: Vec<SeriesPlan>,
    windows: Vec<Window>,
    features: Vec<FeaturePlan>,
}

/// Features that look at the same events, and at the same argument of them.
#[derive(Debug)]
pub(crate) struct SeriesPlan {
    /// One of these features.
    pub feature: WindowFeature,
    /// What they make of the argument.
    pub aggregates: Vec<Aggregate>,
    /// The gaps of their sessions.
    pub gaps: Vec<Duration>,
}

/// Where the value of a feature is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeaturePlan {
    /// The number of its series.
    pub series: usize,
    /// Which of the series' aggregates it is.
    pub aggregate: usize,
    /// The number of its window.
    pub window: usize,
}

impl HeldPlan {
    /// For the features of a view.
    pub fn new(closing: Closing) -> Self {
        let (mut series, mut windows): (Vec<SeriesPlan>, Vec<Window>) = (Vec::new(), Vec::new());
        let mut features = Vec::with_capacity(closing.features.len());
        for feature in &closing.features {
            let number = series.iter().position(|known| known.feature.shares(feature));
            let number = number.unwrap_or_else(|| {
                series.push(SeriesPlan { feature: *feature, aggregates: Vec::new(), gaps: Vec::new() });
                series.len() - 1
            });
            let of = &mut series[number];
            if let Span::Session { gap, .. } = feature.window.span
                && !of.gaps.contains(&gap)
            {
                of.gaps.push(gap);
            }
            let aggregate = place_of(&mut of.aggregates, feature.aggregate);
            let window = place_of(&mut windows, feature.window);
            features.push(FeaturePlan { series: number, aggregate, window });
        }
        Self { closing, series, windows, features }
    }

    /// The features, and what their view says of all of them.
    pub fn closing(&self) -> &Closing {
        &self.closing
    }

    pub(crate) fn series(&self) -> &[SeriesPlan] {
        &self.series
    }

    pub(crate) fn windows(&self) -> &[Window] {
        &self.windows
    }

    pub(crate) fn feature(&self, place: usize) -> FeaturePlan {
        self.features[place]
    }
}

/// The place of an item, which is added where it is not there.
fn place_of<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    items.iter().position(|known| *known == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}
