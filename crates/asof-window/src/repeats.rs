//! Which events stand, and who may know them: late knowledge, replaced ranges, and several events of one identity
//! (SEMANTICS 4).

use std::collections::BTreeMap;
use std::ops::Range;

use asof_model::aggregation::Withdrawal;
use asof_model::window::Edge;
use asof_model::{Cell, canonical};

use crate::closing::Ask;
use crate::events::{Column, Events};

pub use asof_model::spec::Repeats;

/// From when until when each event of a key stands.
#[derive(Debug)]
pub(crate) struct Stands {
    /// Empty where what the events themselves say is all there is to it.
    own: Vec<Vec<Range<i64>>>,
    first: usize,
}

/// Decides which of the events of one identity stand: of those that are known and were not replaced, under `keep_first` the
/// one that was known first, under `replace` the newest by created, then bytes.
///
/// `withdrawal`: which input says whether a version takes its event away.
pub(crate) fn resolve(
    events: &Events,
    within: Range<usize>,
    (repeats, withdrawal): (Repeats, Option<usize>),
) -> Stands {
    let mut own = match events.identity {
        Some(identity) => one_of_each(events, identity, within.clone(), (repeats, withdrawal)),
        None => Vec::new(),
    };
    // Whichever version stands: where it takes the event away, nothing does.
    if let Some(withdrawal) = withdrawal.map(|input| &events.inputs[input]) {
        for event in within.clone().filter(|event| withdraws(withdrawal, *event)) {
            if own.is_empty() {
                own.extend(within.clone().map(|event| vec![events.stands(event)]));
            }
            own[event - within.start].clear();
        }
    }
    Stands { own, first: within.start }
}

/// What the versions of each identity leave of the time in which each event stands. Empty: all of it.
fn one_of_each(
    events: &Events,
    identity: usize,
    within: Range<usize>,
    (repeats, withdrawal): (Repeats, Option<usize>),
) -> Vec<Vec<Range<i64>>> {
    let identity = &events.inputs[identity];
    if identity.are_different(within.clone()) {
        return Vec::new();
    }
    let mut by_identity: Vec<usize> = within.clone().collect();
    let same = |one: &usize, other: &usize| match (identity.cell(*one), identity.cell(*other)) {
        (Cell::Value(one), Cell::Value(other)) => one == other,
        // An event without an identity is one of its own.
        _ => false,
    };
    by_identity.sort_unstable_by(|one, other| identity.order(*one, *other));
    if !by_identity.windows(2).any(|pair| same(&pair[0], &pair[1])) {
        return Vec::new();
    }
    let mut own: Vec<Vec<Range<i64>>> = within.clone().map(|event| vec![events.stands(event)]).collect();
    for group in by_identity.chunk_by(same).filter(|group| group.len() > 1) {
        let mut versions = group.to_vec();
        versions.sort_unstable();
        // The one that stands before all others first.
        match repeats {
            Repeats::KeepFirst => versions.sort_by_cached_key(|event| {
                let known = events.stands(*event).start;
                (known, events.createds[*event], events.instants[*event], bytes(events, *event, withdrawal))
            }),
            Repeats::Replace => versions.sort_by_cached_key(|event| {
                let mark = withdrawal.map(|input| mark(&events.inputs[input], *event));
                let bytes = bytes(events, *event, withdrawal);
                let rank = (events.createds[*event], bytes, events.instants[*event], mark);
                std::cmp::Reverse(rank)
            }),
        }
        for (place, event) in versions.iter().enumerate() {
            let better = versions[..place].iter().map(|better| events.stands(*better));
            let ranges = std::mem::take(&mut own[event - within.start]);
            own[event - within.start] = better.fold(ranges, |left, taken| without(left, &taken));
        }
    }
    own
}

/// Whether an event takes itself away, by its mark.
pub(crate) fn withdraws(withdrawal: &Column, event: usize) -> bool {
    mark(withdrawal, event) != Withdrawal::Stands.mark()
}

/// The mark of a version.
fn mark(withdrawal: &Column, event: usize) -> i64 {
    Withdrawal::mark_in(Some(&withdrawal.cell(event)))
}

/// What is left of ranges when one is taken out.
fn without(ranges: Vec<Range<i64>>, taken: &Range<i64>) -> Vec<Range<i64>> {
    if taken.is_empty() {
        return ranges;
    }
    let rest = |range: Range<i64>| {
        let before = range.start..range.end.min(taken.start);
        let after = range.start.max(taken.end)..range.end;
        [before, after].into_iter().filter(|part| part.start < part.end)
    };
    ranges.into_iter().flat_map(rest).collect()
}

/// The canonical bytes of all inputs but the mark.
fn bytes(events: &Events, event: usize, withdrawal: Option<usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let inputs = events.inputs.iter().enumerate().filter(|(input, _)| Some(*input) != withdrawal);
    for (_, input) in inputs {
        canonical::write_cell(&mut bytes, input.value_type(), &input.cell(event));
    }
    bytes
}

/// How many events of ascending instants may count at `t`.
pub(crate) fn count_before(edge: Edge, instants: &[i64], t: i64) -> usize {
    match edge {
        Edge::Open => instants.partition_point(|event| *event < t),
        Edge::Closed => instants.partition_point(|event| *event <= t),
    }
}

impl Stands {
    /// The one stretch of time in which an event stands. `None`: it never does, or several times.
    fn once(&self, events: &Events, event: usize) -> Option<Range<i64>> {
        match self.own.get(event - self.first).map(Vec::as_slice) {
            None => Some(events.stands(event)),
            Some([once]) => Some(once.clone()),
            Some(_) => None,
        }
    }

    /// Whether an event stands for what may be known at that instant.
    pub fn stands_at(&self, events: &Events, event: usize, known: i64) -> bool {
        match self.own.get(event - self.first) {
            Some(own) => own.iter().any(|range| range.contains(&known)),
            None => events.stands(event).contains(&known),
        }
    }

    fn edges(&self, events: &Events, event: usize, out: &mut Vec<i64>) {
        match self.own.get(event - self.first) {
            Some(own) => out.extend(own.iter().flat_map(|range| [range.start, range.end])),
            None => out.extend([events.stands(event).start, events.stands(event).end]),
        }
    }

    /// Whether all events stand, whatever is known.
    pub fn is_always(&self, events: &Events) -> bool {
        self.own.is_empty() && events.knowns.is_empty() && events.untils.is_empty()
    }

    /// Whether what events themselves say is all there is to it.
    pub fn is_own(&self) -> bool {
        self.own.is_empty()
    }

    /// The instant from which on an event stands for the last time.
    pub fn last_start(&self, events: &Events, event: usize) -> i64 {
        match self.own.get(event - self.first) {
            Some(own) => own.last().map_or(i64::MAX, |range| range.start),
            None => events.stands(event).start,
        }
    }

    /// The instants at which what stands changes. They ascend.
    pub fn all_edges(&self, events: &Events, within: Range<usize>) -> Vec<i64> {
        let mut edges: Vec<i64> = Vec::new();
        within.for_each(|event| self.edges(events, event, &mut edges));
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        let each = |ranges: &Vec<Range<i64>>| size_of_val(ranges) + ranges.capacity() * 16;
        self.own.iter().map(each).sum()
    }

    /// The asks for which some event that may count does not stand. They ascend.
    pub fn affected(&self, events: &Events, within: Range<usize>, asks: &[Ask], edge: Edge) -> Vec<usize> {
        if self.is_always(events) {
            return Vec::new();
        }
        // For the first so many events the last instant at which one becomes known, and the first at which one ends.
        let mut sure = Vec::with_capacity(within.len() + 1);
        let (mut known, mut until) = (i64::MIN, i64::MAX);
        sure.push((known, until));
        for event in within.clone() {
            // What never stands once and for all leaves no ask unaffected.
            let (start, end) =
                self.once(events, event).map_or((i64::MAX, i64::MIN), |one| (one.start, one.end));
            (known, until) = (known.max(start), until.min(end));
            sure.push((known, until));
        }
        let instants = &events.instants[within];
        let affected = |ask: &usize| {
            let Ask { t, known } = asks[*ask];
            let count = count_before(edge, instants, t);
            let (last, end) = sure[count];
            !(last <= known && known < end) && count > 0
        };
        (0..asks.len()).filter(affected).collect()
    }

    /// For each set of events that stand for some of the asks, the events and the asks.
    pub fn groups(
        &self,
        events: &Events,
        within: Range<usize>,
        asks: &[Ask],
        affected: &[usize],
    ) -> Vec<(Vec<usize>, Vec<usize>)> {
        let edges = self.all_edges(events, within.clone());
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for ask in affected {
            let group = edges.partition_point(|edge| *edge <= asks[*ask].known);
            groups.entry(group).or_default().push(*ask);
        }
        let standing = |of: &[usize]| -> Vec<usize> {
            let known = of.first().map_or(i64::MIN, |ask| asks[*ask].known);
            within.clone().filter(|event| self.stands_at(events, *event, known)).collect()
        };
        groups.into_values().map(|of| (standing(&of), of)).collect()
    }
}
