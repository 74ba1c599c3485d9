//! What the versions of one event make of each other, when some of them arrive (SEMANTICS 4).
//!
//! An event stands by its newest version alone, under the key of that version. Whoever answers for a key reads only what is
//! there under that key; so a key that has a version of the event is told of every greater one that is elsewhere, by a row
//! that says that the event moved.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use asof_model::Instant;
use asof_model::spec::Repeats;

/// A version of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The encoded key under which it stands.
    pub key: Vec<u8>,
    /// When the event happened.
    pub event: Instant,
    /// When its source says that it was known.
    pub created: Instant,
    /// The canonical bytes of all that it holds, but for the mark.
    pub bytes: Vec<u8>,
    /// Whether it takes the event away ([`asof_model::aggregation::Withdrawal`]).
    pub mark: i64,
}

/// A key that is to be told that the event moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The key.
    pub key: Vec<u8>,
    /// The version that it moved by: its place among the known ones, then the arrivals.
    pub by: usize,
    /// The greatest lesser version of this key that was created at the same instant, by its place: what they hold decides
    /// between them, so the key is told by a row that stands right above that one. `None`: the instant decides.
    pub above: Option<usize>,
}

/// What becomes of arrivals.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Places of arrivals that change nothing.
    pub repeats: Vec<usize>,
    /// Keys that are to be told.
    pub moved: Vec<Moved>,
}

impl Claim {
    /// Which of two is the newer version.
    fn order(&self, other: &Self) -> Ordering {
        self.created
            .cmp(&other.created)
            .then_with(|| self.bytes.cmp(&other.bytes))
            .then_with(|| self.event.cmp(&other.event))
            .then_with(|| self.key.cmp(&other.key))
            .then_with(|| self.mark.cmp(&other.mark))
    }
}

/// Judges arrivals of one identity. `in_order`: they came one after the other; else which of them came first is for what they
/// hold to say.
pub fn judge(known: &[Claim], arrivals: &[Claim], repeats: Repeats, in_order: bool) -> Verdict {
    match repeats {
        Repeats::KeepFirst => keep_first(known, arrivals, in_order),
        Repeats::Replace => replace(known, arrivals),
    }
}

fn keep_first(known: &[Claim], arrivals: &[Claim], in_order: bool) -> Verdict {
    let first = match (known.is_empty(), in_order) {
        (false, _) => None,
        (true, true) => Some(0),
        (true, false) => (0..arrivals.len()).min_by(|one, other| arrivals[*one].order(&arrivals[*other])),
    };
    let repeats = (0..arrivals.len()).filter(|place| Some(*place) != first).collect();
    Verdict { repeats, moved: Vec::new() }
}

fn replace(known: &[Claim], arrivals: &[Claim]) -> Verdict {
    let mut verdict = Verdict::default();
    let versions: Vec<&Claim> = known.iter().chain(arrivals).collect();
    // What comes again as it is says nothing more.
    let mut new: Vec<usize> = Vec::new();
    for place in known.len()..versions.len() {
        match versions[..place].iter().any(|before| *before == versions[place]) {
            true => verdict.repeats.push(place - known.len()),
            false => new.push(place),
        }
    }
    let keys: BTreeSet<&Vec<u8>> = versions.iter().map(|version| &version.key).collect();
    if keys.len() < 2 || new.is_empty() {
        return verdict;
    }
    let all: Vec<usize> = (0..known.len()).chain(new.iter().copied()).collect();
    for key in keys {
        let (own, elsewhere): (Vec<usize>, Vec<usize>) =
            all.iter().partition(|place| versions[**place].key == *key);
        // Of the greater versions that are elsewhere the next one is enough: it is known whenever a later one is, or was told
        // before it came.
        let mut told: BTreeSet<usize> = BTreeSet::new();
        for place in &own {
            let greater = elsewhere.iter().filter(|by| versions[**by].order(versions[*place]).is_gt());
            let next = greater.min_by(|one, other| versions[**one].order(versions[**other]));
            told.extend(next.filter(|by| *place >= known.len() || **by >= known.len()));
        }
        for by in told {
            let version = versions[by];
            let lesser = |place: &&usize| {
                let own = versions[**place];
                own.created == version.created && own.order(version).is_lt()
            };
            let above =
                own.iter().filter(lesser).max_by(|one, other| versions[**one].order(versions[**other]));
            verdict.moved.push(Moved { key: key.clone(), by, above: above.copied() });
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use asof_model::aggregation::Withdrawal;
    use proptest::prelude::*;

    use super::*;

    fn claim() -> impl Strategy<Value = Claim> {
        let mark = prop_oneof![4 => Just(Withdrawal::Stands), 1 => Just(Withdrawal::Deleted)];
        (0_u8..3, 0_i64..4, 0_i64..4, 0_u8..3, mark).prop_map(|(key, event, created, bytes, mark)| Claim {
            key: vec![key],
            event: Instant::from_micros_clamped(event),
            created: Instant::from_micros_clamped(created),
            bytes: vec![1, bytes],
            mark: mark.mark(),
        })
    }

    /// What a key's own rows say stands, by the rule of whoever reads them: the newest by created, bytes, event, mark.
    fn read(rows: &[Claim], key: &[u8]) -> Option<Claim> {
        let of_key = rows.iter().filter(|row| row.key == key);
        let newest = of_key.max_by(|one, other| {
            let rank = |row: &Claim| (row.created, row.bytes.clone(), row.event, row.mark);
            rank(one).cmp(&rank(other))
        });
        newest.filter(|row| row.mark == Withdrawal::Stands.mark()).cloned()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Goal: however versions arrive, what each key reads alone is what all versions together say.
        #[test]
        fn each_key_knows_enough(units in prop::collection::vec(prop::collection::vec(claim(), 1..4), 1..5)) {
            let (mut known, mut rows): (Vec<Claim>, Vec<Claim>) = (Vec::new(), Vec::new());
            for arrivals in units {
                let verdict = judge(&known, &arrivals, Repeats::Replace, false);
                let all: Vec<Claim> = known.iter().chain(&arrivals).cloned().collect();
                for Moved { key, by, above } in &verdict.moved {
                    let (mark, key) = (Withdrawal::Moved.mark(), key.clone());
                    rows.push(match above {
                        Some(above) => Claim { mark, ..all[*above].clone() },
                        None => Claim { mark, key, bytes: Vec::new(), ..all[*by].clone() },
                    });
                }
                let news = arrivals.into_iter().enumerate().filter(|(place, _)| !verdict.repeats.contains(place));
                let news: Vec<Claim> = news.map(|(_, claim)| claim).collect();
                rows.extend(news.clone());
                known.extend(news);
                // Whatever of it may be known.
                for at in (0..4).map(Instant::from_micros_clamped) {
                    let may = |claim: &&Claim| claim.created <= at;
                    let newest = known.iter().filter(may).max_by(|one, other| one.order(other)).cloned();
                    let stands = newest.filter(|newest| newest.mark == Withdrawal::Stands.mark());
                    let seen: Vec<Claim> = rows.iter().filter(may).cloned().collect();
                    for key in 0..3_u8 {
                        let right = stands.clone().filter(|stands| stands.key == [key]);
                        prop_assert_eq!(read(&seen, &[key]), right, "key {} of {:?} at {:?}", key, rows, at);
                    }
                }
            }
        }

        /// Goal: under keep_first one version is taken, ever, and of those that come together the same one in any order.
        #[test]
        fn the_first_is_kept(arrivals in prop::collection::vec(claim(), 1..6)) {
            let verdict = judge(&[], &arrivals, Repeats::KeepFirst, false);
            prop_assert_eq!(verdict.repeats.len(), arrivals.len() - 1);
            let kept = |arrivals: &[Claim], verdict: &Verdict| {
                (0..arrivals.len()).find(|place| !verdict.repeats.contains(place)).map(|place| arrivals[place].clone())
            };
            let reversed: Vec<Claim> = arrivals.iter().rev().cloned().collect();
            let again = judge(&[], &reversed, Repeats::KeepFirst, false);
            prop_assert_eq!(kept(&arrivals, &verdict), kept(&reversed, &again));
            let later = judge(&arrivals[..1], &arrivals, Repeats::KeepFirst, true);
            prop_assert_eq!(later.repeats.len(), arrivals.len());
            let in_order = judge(&[], &arrivals, Repeats::KeepFirst, true);
            prop_assert!(!in_order.repeats.contains(&0));
        }
    }
}
