//! Cases about what a read answers.

use asof_model::key::encode_key;
use asof_model::{Duration, Value};

use super::Harness;
use super::world::{World, at};
use crate::entry::WAITING_INLINE_MAX;
use crate::error::OnlineError;
use crate::store::ViewHandle;

/// Goal: a row is in force from exactly `max(event, created, visible)`; until then the one before it stands.
pub fn waiting_rows_come_in_force_at_their_instant(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    let rows = vec![
        world.row(b"k", at(-9), at(-9), 1),
        world.row(b"k", at(10), at(10), 2),
        world.row(b"k", at(11), at(30), 3),
        world.row(b"k", at(20), at(5), 4),
        world.row(b"only", at(40), at(40), 5),
    ];
    let published = world.publish(view, "u1", 1, rows);
    assert_eq!((published.rows_added, published.waiting), (5, 4));
    let microsecond = Duration::from_micros(1);
    for (before, from, after) in [(Some(1), at(10), Some(2)), (Some(2), at(20), Some(4))] {
        world.clock.set(from.minus(microsecond));
        assert_eq!(world.number_now(view, b"k"), before);
        world.clock.set(from);
        assert_eq!(world.number_now(view, b"k"), after);
    }
    // In force from 30, but smaller by event than the one of 20.
    world.clock.set(at(31));
    assert_eq!(world.number_now(view, b"k"), Some(4));
    assert_eq!(world.number_now(view, b"only"), None);
    world.clock.set(at(40));
    assert_eq!(world.number_now(view, b"only"), Some(5));

    // Published long after event and created: in force from its stamp.
    world.clock.set(at(100));
    let late = world.publish(view, "u2", 2, vec![world.row(b"late", at(50), at(60), 6)]);
    assert_eq!((late.visible, late.waiting), (at(100), 0));
    let refused = world.try_read(&[(view, b"late")], Some(at(99)));
    assert!(matches!(refused, Err(OnlineError::NowBehind { .. })));
    assert_eq!(world.number_now(view, b"late"), Some(6));
}

/// Goal: more waiting rows than stand inline are kept, reported, come in force each at its instant, in whatever
/// order they were published, and leave nothing behind once they are beaten.
pub fn many_waiting_rows_overflow(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    let count = WAITING_INLINE_MAX as i64 * 3;
    // Greater rows come in force earlier and later ones in turn: event and created run against each other.
    let in_force = |n: i64| at(if n % 2 == 0 { n * 10 } else { n * 10 + 15 });
    let row = |n: i64| world.row(b"k", at(n * 10), in_force(n), n);
    let mut last = None;
    for (unit, n) in (1..=count).rev().enumerate() {
        last = Some(world.publish(view, &format!("u{unit}"), unit as u64, vec![row(n)]));
    }
    let last = last.unwrap();
    assert_eq!(last.waiting, count as u64);
    assert!(last.overflowed > 0 && last.overflowed < last.waiting, "{last:?}");
    for second in 1..=count * 10 + 20 {
        world.clock.set(at(second));
        let expected = (1..=count).filter(|n| in_force(*n) <= at(second)).max();
        assert_eq!(world.number_now(view, b"k"), expected, "second {second}");
    }
    let end = at(count * 10 + 30);
    world.clock.set(end);
    let published = world.publish(view, "last", 99, vec![world.row(b"k", end, end, 999)]);
    assert_eq!((published.waiting, published.overflowed, published.rows_added), (0, 0, 1));
    assert_eq!(world.number_now(view, b"k"), Some(999));
}

/// Goal: the same key in two views is two keys, and an answer names the frontier of each view once, in order.
pub fn views_do_not_mix(harness: &impl Harness) {
    let world = World::open(harness);
    let (one, two) = (world.view("trips@1"), world.view("trips@2"));
    assert_ne!(one, two);
    let first = world.publish(one, "u1", 11, vec![world.row(b"k", at(-9), at(-9), 1)]);
    let second = world.publish(two, "u1", 22, vec![world.row(b"k", at(-8), at(-8), 2)]);
    assert!(!second.already && second.visible > first.visible);
    let answer = world.try_read(&[(two, b"k"), (one, b"k"), (two, b"k"), (one, b"none")], None).unwrap();
    let numbers: Vec<_> = answer.rows.iter().map(|row| row.as_ref().map(|row| world.number(row))).collect();
    assert_eq!(numbers, [Some(2), Some(1), Some(2), None]);
    let frontiers: Vec<_> = answer.frontiers.iter().map(|f| (f.view, f.position, f.last_visible)).collect();
    assert_eq!(frontiers, [(two, Some(22), Some(second.visible)), (one, Some(11), Some(first.visible))]);
    assert_eq!((world.keys(one, None, 9).len(), world.keys(two, None, 9).len()), (1, 1));
}

/// Goal: ("a","bc"), ("ab","c"), ("abc",""), the empty key and a key that begins another one are different keys.
pub fn composite_keys_that_share_prefixes(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("pairs@1");
    let pair = |a: &str, b: &str| encode_key(&[Value::String(a.into()), Value::String(b.into())]);
    let mut keys =
        vec![pair("a", "bc"), pair("ab", "c"), pair("abc", ""), pair("", "abc"), pair("a\0", "bc")];
    keys.extend([b"".to_vec(), b"a".to_vec(), b"a\0".to_vec(), b"ab".to_vec()]);
    let rows = keys.iter().zip(0..).map(|(key, n)| world.row(key, at(-9), at(-9), n)).collect();
    assert_eq!(world.publish(view, "u1", 1, rows).rows_added, keys.len() as u64);
    for (key, n) in keys.iter().zip(0..) {
        assert_eq!(world.number_now(view, key), Some(n), "{key:?}");
    }
    assert_eq!(world.number_now(view, &pair("a", "b")), None);
}

/// Goal: keys come in key order, strictly behind `after`, never more than `limit`, never those of another view.
pub fn keys_are_listed_in_order(harness: &impl Harness) {
    let world = World::open(harness);
    let (before, view, behind) = (world.view("a@1"), world.view("b@1"), world.view("c@1"));
    for other in [before, behind] {
        world.publish(other, "u1", 1, vec![world.row(b"other", at(-9), at(-9), 0)]);
    }
    let mut keys: Vec<Vec<u8>> = (0..50_i64).map(|n| encode_key(&[Value::Int64(n * 7 - 90)])).collect();
    keys.push(Vec::new());
    keys.push([&keys[3][..], &[0]].concat());
    keys.push([&keys[3][..], &[0xff]].concat());
    let rows = keys.iter().rev().map(|key| world.row(key, at(-9), at(-9), 1)).collect();
    world.publish(view, "u1", 1, rows);
    keys.sort();
    assert_eq!(world.keys(view, None, 1_000), keys);
    assert!(world.keys(view, None, 0).is_empty());
    let mut paged: Vec<Vec<u8>> = Vec::new();
    loop {
        let page = world.keys(view, paged.last().map(Vec::as_slice), 7);
        assert!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, keys);
}

/// Goal: a client's `now` is the answer's `t`; beyond the store's clock it is refused, and before the last unit of
/// an asked view too. What is answered holds back later stamps.
pub fn now_is_answered_or_refused(harness: &impl Harness) {
    let world = World::open(harness);
    let (view, other) = (world.view("trips@1"), world.view("ratings@1"));
    let first = world.publish(view, "u1", 1, vec![world.row(b"k", at(-9), at(-9), 1)]);
    world.clock.set(at(10));
    let second = world.publish(other, "u1", 1, vec![world.row(b"k", at(-9), at(-9), 2)]);

    let keys: [(ViewHandle, &[u8]); 1] = [(view, b"k")];
    assert_eq!(world.try_read(&keys, Some(at(10))).unwrap().t, at(10));
    // Before the last unit of another view, but not of this one.
    let answer = world.try_read(&keys, Some(first.visible)).unwrap();
    assert_eq!((answer.t, answer.rows[0].is_some()), (first.visible, true));
    let earlier = first.visible.minus(Duration::from_micros(1));
    let refused = world.try_read(&keys, Some(earlier));
    assert!(
        matches!(refused, Err(OnlineError::NowBehind { last_visible, .. }) if last_visible == first.visible)
    );
    let both: [(ViewHandle, &[u8]); 2] = [(view, b"k"), (other, b"k")];
    let refused = world.try_read(&both, Some(at(9)));
    assert!(
        matches!(refused, Err(OnlineError::NowBehind { last_visible, .. }) if last_visible == second.visible)
    );
    let refused = world.try_read(&keys, Some(at(11)));
    assert!(matches!(refused, Err(OnlineError::NowAhead { .. })), "{refused:?}");

    world.clock.set(at(20));
    assert_eq!(world.try_read(&keys, Some(at(20))).unwrap().t, at(20));
    // The clock steps back; answers do not, and the next stamp is after them.
    world.clock.set(at(15));
    assert_eq!(world.try_read(&keys, None).unwrap().t, at(20));
    assert!(world.publish(view, "u2", 2, Vec::new()).visible > at(20));
    assert_eq!(world.try_read(&[], None).unwrap().rows.len(), 0);
}

/// Goal: a handle that the store never gave out is refused everywhere.
pub fn unknown_views_are_refused(harness: &impl Harness) {
    let world = World::open(harness);
    world.view("trips@1");
    let unknown = ViewHandle::from_number(4_000_000_000);
    let refused = |error: Option<OnlineError>| {
        assert!(matches!(error, Some(OnlineError::UnknownView { view }) if view == unknown), "{error:?}");
    };
    refused(world.try_read(&[(unknown, b"k")], None).err());
    refused(world.try_publish(world.unit(unknown, "u1", 1, Vec::new())).err());
    refused(harness.wait(world.store.journal(unknown)).err());
    refused(harness.wait(world.store.keys(unknown, None, 1)).err());
    refused(harness.wait(world.store.statistics(unknown)).err());
}
