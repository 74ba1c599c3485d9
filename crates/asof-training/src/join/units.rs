//! What the journal knows of the publication units that history rows name.

use std::collections::HashMap;
use std::sync::Arc;

use asof_model::Instant;

use super::met::Met;

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
///
/// Rows that were pushed come into history many units at a time, and each row names its own by when it became visible
/// ([`pushed_unit`]): the journal need not hold them. Those get their numbers as they are met.
#[derive(Debug, Clone, Default)]
pub struct Units {
    numbers: HashMap<String, u32>,
    facts: Vec<UnitFacts>,
    /// Numbers of units whose rows name units of their own.
    parted: Vec<u32>,
    /// All ranges that were replaced.
    replaced: Vec<Replaced>,
    pushed: Option<Pushed>,
    met: Arc<Met>,
}

/// What is known of all units of pushed rows.
#[derive(Debug, Clone, Copy)]
struct Pushed {
    /// Those visible after it are not in history yet, as far as the journal knows.
    until: Instant,
    /// Whether they stay where a range is replaced.
    stay: bool,
}

/// The name of a unit of rows that were pushed: when they became visible, and how many features they carry.
pub fn pushed_unit(visible: Instant, features: usize) -> String {
    format!("{PUSHED}{}-{features}", visible.micros())
}

/// What the name of a unit of pushed rows says. `None`: it is of no such unit.
pub fn read_pushed_unit(name: &str) -> Option<(Instant, usize)> {
    let (visible, features) = name.strip_prefix(PUSHED)?.rsplit_once('-')?;
    Some((Instant::from_micros(visible.parse().ok()?)?, features.parse().ok()?))
}

const PUSHED: &str = "pushed-";

impl Units {
    /// Adds a unit; the first facts of a name stand.
    pub fn add(&mut self, name: &str, facts: UnitFacts) {
        if !self.numbers.contains_key(name) {
            self.numbers.insert(name.to_owned(), self.facts.len() as u32);
            self.facts.push(facts);
        }
    }

    /// Adds a unit of pushed rows, which name units of their own: the last of them became visible at `until`, and `facts` are
    /// those of the first. The first mention of a name counts.
    pub fn add_pushed(&mut self, name: &str, facts: UnitFacts, until: Instant) {
        let stay = facts.stays;
        self.add(name, facts);
        self.parted.extend(self.numbers.get(name));
        let before = self.pushed.map_or(until, |pushed| pushed.until.max(until));
        self.pushed = Some(Pushed { until: before, stay });
        self.met = Arc::default();
    }

    /// Takes the range away from every unit that became visible before, from the instant on at which its replacement is.
    pub fn replace(&mut self, replaced: Replaced) {
        self.replaced.push(replaced);
        self.met = Arc::default();
        let loaded = self.facts.iter_mut().filter(|facts| !facts.stays);
        loaded.for_each(|facts| facts.replaced.push(replaced));
    }

    /// Whether any range was replaced.
    pub fn any_replaced(&self) -> bool {
        self.facts.iter().any(|facts| !facts.replaced.is_empty()) || self.replaces_pushed()
    }

    /// Whether pushed rows may no longer stand.
    fn replaces_pushed(&self) -> bool {
        self.pushed.is_some_and(|pushed| !pushed.stay) && !self.replaced.is_empty()
    }

    /// Whether all units say the same of their rows, but for when they became visible.
    pub fn are_alike(&self) -> bool {
        let same = |pair: &[UnitFacts]| {
            (pair[0].features, &pair[0].bulk, &pair[0].replaced)
                == (pair[1].features, &pair[1].bulk, &pair[1].replaced)
        };
        self.facts.windows(2).all(same) && !self.replaces_pushed()
    }

    /// The number of a unit, for [`Units::facts`]. `None`: its rows are invisible.
    pub fn number(&self, name: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let pushed = self.pushed?;
        let (visible, features) = read_pushed_unit(name).filter(|(visible, _)| *visible <= pushed.until)?;
        let facts = || {
            let later = self.replaced.iter().filter(|each| !pushed.stay && each.visible > visible);
            let replaced = later.copied().collect();
            UnitFacts { visible, features, bulk: Vec::new(), replaced, stays: pushed.stay }
        };
        u32::try_from(self.facts.len() + self.met.number((visible, features), facts)?).ok()
    }

    /// Whether the rows of a unit name units of their own.
    pub fn is_parted(&self, number: u32) -> bool {
        self.parted.binary_search(&number).is_ok()
    }

    /// The facts of a unit by its number, which [`Units::number`] gave.
    pub fn facts(&self, number: u32) -> &UnitFacts {
        let number = number as usize;
        match number.checked_sub(self.facts.len()) {
            None => &self.facts[number],
            Some(met) => self.met.facts(met),
        }
    }

    /// How many units there are, but for those that rows alone name.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }
}
