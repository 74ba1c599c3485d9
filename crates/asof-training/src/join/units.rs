//! What the journal knows of the publication units that history rows name.

use std::collections::HashMap;

use asof_model::Instant;

/// A half-open range of event instants, `[from, until)`, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The first microsecond within.
    pub from: i64,
    /// The first microsecond past it.
    pub until: i64,
}

impl Interval {
    /// Whether the instant lies within.
    pub fn contains(&self, micros: i64) -> bool {
        (self.from..self.until).contains(&micros)
    }
}

/// One journaled unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFacts {
    /// When its rows became visible.
    pub visible: Instant,
    /// How many features, in order of addition, its rows carry. Later features are MISSING in them.
    pub features: usize,
    /// The ranges of which this unit belongs to the first complete load.
    pub bulk: Vec<Interval>,
    /// Where its rows no longer stand, because a later commit replaced the range, and since when.
    pub replaced: Vec<Replaced>,
    /// Whether its rows stand whatever range is replaced: they are events that were pushed.
    pub stays: bool,
}

/// A range of event instants that was replaced (SEMANTICS 3 and 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// The range.
    pub range: Interval,
    /// When the replacement became visible.
    pub visible: Instant,
}

impl UnitFacts {
    /// Since when a row of the unit with that event, in microseconds, no longer stands. `None`: it stands.
    pub fn replaced_at(&self, event: i64) -> Option<Instant> {
        self.replaced.iter().filter(|each| each.range.contains(event)).map(|each| each.visible).min()
    }
}

/// The journaled units of one view's history, by name. Rows of a unit that is not here are invisible.
#[derive(Debug, Clone, Default)]
pub struct Units {
    numbers: HashMap<String, u32>,
    facts: Vec<UnitFacts>,
}

impl Units {
    /// Adds a unit; the first facts of a name stand.
    pub fn add(&mut self, name: &str, facts: UnitFacts) {
        if !self.numbers.contains_key(name) {
            self.numbers.insert(name.to_owned(), self.facts.len() as u32);
            self.facts.push(facts);
        }
    }

    /// Takes the range away from every unit that is here, from the instant on at which its replacement is visible.
    pub fn replace(&mut self, replaced: Replaced) {
        let loaded = self.facts.iter_mut().filter(|facts| !facts.stays);
        loaded.for_each(|facts| facts.replaced.push(replaced));
    }

    /// Whether any range was replaced.
    pub fn any_replaced(&self) -> bool {
        self.facts.iter().any(|facts| !facts.replaced.is_empty())
    }

    /// Whether all units say the same of their rows, but for when they became visible.
    pub fn are_alike(&self) -> bool {
        let same = |pair: &[UnitFacts]| {
            (pair[0].features, &pair[0].bulk, &pair[0].replaced)
                == (pair[1].features, &pair[1].bulk, &pair[1].replaced)
        };
        self.facts.windows(2).all(same)
    }

    /// The number of a unit, for [`Units::facts`].
    pub fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The facts of a unit by its number.
    pub fn facts(&self, number: u32) -> &UnitFacts {
        &self.facts[number as usize]
    }

    /// How many units there are.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }
}
