//! The embedded store: the suite of the trait, and what is its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asof_model::{Explain, Kind};
use asof_online::conformance::{Harness, ManualClock, World, at};
use asof_online::{
    Clock, EmbeddedStore, KEY_BYTES_MAX, OnlineError, OnlineStore, PUBLICATION_ROWS_MAX, RowLayout,
};

const CACHE_BYTES: u64 = 4 << 20;

/// A folder of its own per test.
pub(super) struct Folder {
    keep: tempfile::TempDir,
}

impl Folder {
    pub(super) fn new() -> Self {
        Self { keep: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.keep.path().join("online")
    }
}

impl Harness for Folder {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn OnlineStore> {
        Arc::new(EmbeddedStore::open(&self.path(), CACHE_BYTES, clock, "test").unwrap())
    }
}

/// A folder that was copied from another one.
pub(super) struct Copied(pub(super) PathBuf);

impl Harness for Copied {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn OnlineStore> {
        Arc::new(EmbeddedStore::open(&self.0, CACHE_BYTES, clock, "test").unwrap())
    }
}

mod suite {
    use super::Folder;
    asof_online::online_store_suite!(Folder::new);
}

fn open(path: &Path) -> Result<EmbeddedStore, OnlineError> {
    EmbeddedStore::open(path, CACHE_BYTES, ManualClock::new(at(0)), "asof serve")
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Goal: rows brought into memory ahead are what readers find there, also after a later unit has changed one, and no more
/// of them than there is room for; told to stop, it stops.
#[test]
fn warmed_up() {
    let folder = Folder::new();
    let keys: Vec<[u8; 2]> = (0..6_000_u16).map(u16::to_be_bytes).collect();
    let (before, after) = (at(-9), at(-8));
    let world = World::open(&folder);
    let view = world.view("trips@1");
    let rows = keys.iter().map(|key| world.row(key, before, before, 1)).collect();
    world.publish(view, "u1", 1, rows);
    let world = world.reopen();
    assert_eq!(folder.wait(world.store.warm_up(&|| false)).unwrap(), 0);
    assert_eq!(folder.wait(world.store.warm_up(&|| true)).unwrap(), keys.len() as u64);
    world.publish(view, "u2", 2, vec![world.row(&keys[7], after, after, 2)]);
    let asked: Vec<(_, &[u8])> = keys.iter().map(|key| (view, &key[..])).collect();
    let answer = world.try_read(&asked, None).unwrap();
    let number = |place: usize| answer.rows[place].as_ref().map(|row| world.number(row));
    assert!((0..keys.len()).all(|place| number(place) == Some(if place == 7 { 2 } else { 1 })));
    let counts = world.store.cache_counts();
    assert_eq!((counts.found, counts.missed), (keys.len() as u64 - 1, 1));
    drop(world);
    let small = EmbeddedStore::open(&folder.path(), 200_000, ManualClock::new(at(0)), "test").unwrap();
    let kept = folder.wait(small.warm_up(&|| true)).unwrap();
    assert!((100..5_000).contains(&kept), "{kept}");
}

/// Goal: what was acknowledged is in the files at that moment: a copy of the folder of a running store, as a crash
/// would leave it, opens with all units, and goes on. Small enough that nothing is flushed meanwhile: a copy made
/// file by file during a flush is no state that the store was ever in.
#[test]
fn a_crash_loses_nothing_acknowledged() {
    let folder = Folder::new();
    let world = World::open(&folder);
    let view = world.view("trips@1");
    let key = |n: i64| n.to_be_bytes();
    for unit in 0..5_i64 {
        let rows = (0..4_000).map(|n| world.row(&key(n), at(unit - 99), at(unit - 99), unit)).collect();
        world.publish(view, &format!("u{unit}"), unit as u64, rows);
    }
    let copied = folder.keep.path().join("copied");
    copy_folder(&folder.path(), &copied);

    let copied = Copied(copied);
    let after = World::open(&copied);
    let journal = copied.wait(after.store.journal(view)).unwrap();
    assert_eq!(journal, folder.wait(world.store.journal(view)).unwrap());
    assert_eq!(journal.len(), 5);
    for n in [0, 1, 1_999, 3_999] {
        assert_eq!(after.row_now(view, &key(n)), world.row_now(view, &key(n)));
        assert_eq!(after.number_now(view, &key(n)), Some(4));
    }
    assert_eq!(after.keys(view, None, 5_000).len(), 4_000);
    assert!(after.publish(view, "u4", 4, Vec::new()).already);
    assert!(after.publish(view, "u5", 5, Vec::new()).visible > journal[4].visible);
}

/// Goal: a crash in the middle of writing a unit leaves the store as before that unit, wherever the write stopped.
#[test]
fn a_unit_cut_short_is_not_there() {
    let folder = Folder::new();
    let world = World::open(&folder);
    let view = world.view("trips@1");
    world.publish(view, "u1", 1, vec![world.row(b"a", at(-9), at(-9), 1)]);
    let before = written_bytes(&folder.path().join("0.jnl"));
    world.publish(view, "u2", 2, (0..20_u8).map(|n| world.row(&[n], at(-8), at(-8), 2)).collect());
    let after = written_bytes(&folder.path().join("0.jnl"));
    assert!(before + 100 < after, "{before} {after}");
    for (index, end) in (before..after).step_by(97).chain([after - 1]).enumerate() {
        let copied = folder.keep.path().join(format!("cut{index}"));
        copy_folder(&folder.path(), &copied);
        fs::OpenOptions::new().write(true).open(copied.join("0.jnl")).unwrap().set_len(end).unwrap();
        let copied = Copied(copied);
        let cut = World::open(&copied);
        assert_eq!(copied.wait(cut.store.journal(view)).unwrap().len(), 1, "cut at {end}");
        assert_eq!((cut.number_now(view, b"a"), cut.number_now(view, &[3])), (Some(1), None));
        assert!(!cut.publish(view, "u2", 2, vec![cut.row(&[3], at(-8), at(-8), 2)]).already);
        assert_eq!(cut.number_now(view, &[3]), Some(2));
    }
}

/// How far the journal file, which is made longer beforehand, has been written.
pub(super) fn written_bytes(path: &Path) -> u64 {
    fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// Goal: a folder in use is refused with the name of its holder and a next step, and is free once that one is gone.
#[test]
fn a_folder_in_use() {
    let folder = Folder::new();
    assert!(!EmbeddedStore::exists(&folder.path()));
    let held = open(&folder.path()).unwrap();
    assert!(EmbeddedStore::exists(&folder.path()));
    let refused = open(&folder.path()).unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    let text = refused.to_string();
    let expected =
        format!("in use by `asof serve` (process {}, since 2024-01-01T00:00:00Z)", std::process::id());
    assert!(text.contains(&expected), "{text}");
    assert_eq!(refused.hint().unwrap(), "run it again when that process has ended, or stop it first");
    fs::remove_file(folder.path().join("holder.json")).unwrap();
    assert!(matches!(open(&folder.path()), Err(OnlineError::Locked { holder: None, .. })));
    drop(held);
    drop(open(&folder.path()).unwrap());
    assert!(!folder.path().join("holder.json").exists());
}

/// Goal: a path that can't be a store is refused as what it is.
#[test]
fn a_path_that_is_no_folder() {
    let folder = Folder::new();
    fs::write(folder.path(), "text").unwrap();
    assert!(!EmbeddedStore::exists(&folder.path()));
    let refused = open(&folder.path()).unwrap_err();
    assert!(refused.hint().is_some() && refused.to_string().contains("online"), "{refused}");
}

/// Goal: with any one file of the store emptied, missing or filled with rubbish, opening and reading end in an answer
/// or an error that explains itself, never in a panic.
#[test]
fn damaged_folders() {
    let folder = Folder::new();
    let world = World::open(&folder);
    let view = world.view("trips@1");
    world.publish(view, "u1", 1, vec![world.row(b"a", at(-9), at(-9), 1)]);
    drop(world);
    drop(World::open(&folder));
    let mut refused = 0;
    for (index, file) in files_below(&folder.path()).into_iter().enumerate() {
        for damage in ["gone", "empty", "rubbish"] {
            let copied = folder.keep.path().join(format!("{damage}{index}"));
            copy_folder(&folder.path(), &copied);
            let target = copied.join(&file);
            match damage {
                "gone" => fs::remove_file(&target).unwrap(),
                "empty" => fs::write(&target, []).unwrap(),
                _ => fs::write(&target, [0x5a; 300]).unwrap(),
            }
            match open(&copied) {
                Ok(store) => {
                    let _ = futures::executor::block_on(store.read(&[(view, b"a")], None));
                }
                Err(error) => {
                    assert!(error.hint().is_some(), "{damage} {}: {error}", file.display());
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 0);
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(path).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// Goal: what is past a bound is refused by name and number, where the engine below would panic.
#[test]
fn bounds() {
    let folder = Folder::new();
    let world = World::open(&folder);
    let view = world.view("trips@1");
    let refuse = |unit: &str, rows| {
        let error = world.try_publish(world.unit(view, unit, 1, rows)).unwrap_err();
        assert!(matches!(error, OnlineError::TooLarge { .. }), "{error}");
        error.to_string()
    };
    let longest = vec![b'k'; KEY_BYTES_MAX];
    world.publish(view, "u1", 1, vec![world.row(&longest, at(-9), at(-9), 1)]);
    assert_eq!(world.number_now(view, &longest), Some(1));
    let longer = vec![b'k'; KEY_BYTES_MAX + 1];
    assert_eq!(
        refuse("u2", vec![world.row(&longer, at(-9), at(-9), 1)]),
        "an encoded key has 65528 bytes, the most is 65527"
    );
    refuse(&"u".repeat(5_000), Vec::new());
    let row = world.row(b"k", at(-9), at(-9), 1);
    refuse("u3", vec![row; PUBLICATION_ROWS_MAX + 1]);
    assert!(folder.wait(world.store.register(&"v".repeat(5_000))).is_err());

    // A key too long to have been written is simply not there.
    assert_eq!(world.number_now(view, &longer), None);
    assert!(world.keys(view, Some(&longer), 9).is_empty());
    assert_eq!(world.keys(view, Some(&longest[1..]), 9), [longest]);
}

/// Goal: rows that hold more features than the layout they come with are refused, not cut.
#[test]
fn a_row_newer_than_its_layout() {
    let folder = Folder::new();
    let world = World::open(&folder);
    let view = world.view("trips@1");
    let short = RowLayout::new(&world.layout.types()[..1]);
    let mut publication = world.unit(view, "u1", 1, vec![world.row(b"k", at(-9), at(-9), 1)]);
    publication.layout = &short;
    let refused = world.try_publish(publication).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    assert!(refused.hint().unwrap().contains("added features"));
}

/// Goal: a creation that was cut short leaves nothing that is taken for a store, and nothing that stays.
#[test]
fn creation_is_whole() {
    let folder = Folder::new();
    let left = folder.keep.path().join(".online.creating-4194305");
    // What a killed creation leaves: some of the engine's files.
    fs::create_dir_all(left.join("keyspaces")).unwrap();
    fs::write(left.join("0.jnl"), b"").unwrap();
    assert!(!EmbeddedStore::exists(&folder.path()));
    drop(open(&folder.path()).unwrap());
    assert!(EmbeddedStore::exists(&folder.path()));
    let names: Vec<_> =
        fs::read_dir(folder.keep.path()).unwrap().map(|each| each.unwrap().file_name()).collect();
    assert_eq!(names, ["online"]);
    // An empty folder becomes a store too.
    let empty = Folder::new();
    fs::create_dir_all(empty.path()).unwrap();
    drop(open(&empty.path()).unwrap());
    drop(open(&empty.path()).unwrap());
}

/// Goal: an erased key is MISSING, and no file below the folder holds its bytes any more, neither old rows nor the
/// engine's log; every other key, the units and the stamps stay, over a reopening too; erasing again finds nothing.
#[test]
fn erased_keys_leave_no_bytes() {
    const SECRET: &[u8] = b"somebody-7f3a9c51e2";
    let folder = Folder::new();
    let units;
    {
        let world = World::open(&folder);
        let (trips, other) = (world.view("trips@1"), world.view("other@1"));
        for unit in 0..4_i64 {
            let mut rows: Vec<_> = (0..2_000_i64)
                .map(|n| world.row(&n.to_be_bytes(), at(unit - 99), at(unit - 99), unit))
                .collect();
            rows.push(world.row(SECRET, at(unit - 50), at(unit - 50), unit));
            // Some wait, more than stand in the entry itself.
            rows.extend((1..20).map(|n| world.row(SECRET, at(1_000 + 20 * unit + n), at(0), n)));
            world.publish(trips, &format!("u{unit}"), unit as u64, rows);
            world.publish(other, &format!("u{unit}"), 1, vec![world.row(SECRET, at(-9), at(-9), unit)]);
        }
        assert!(files_with(&folder.path(), SECRET) > 0);
        units = folder.wait(world.store.journal(trips)).unwrap();
        let keys = [(trips, SECRET.to_vec()), (other, SECRET.to_vec()), (trips, b"nobody".to_vec())];
        assert_eq!(folder.wait(world.store.erase(&keys)).unwrap(), 2);
        assert_eq!(files_with(&folder.path(), SECRET), 0);
        assert_eq!((world.row_now(trips, SECRET), world.row_now(other, SECRET)), (None, None));
        assert_eq!(folder.wait(world.store.erase(&keys)).unwrap(), 0);
    }
    let world = World::open(&folder);
    let trips = world.view("trips@1");
    assert_eq!(folder.wait(world.store.journal(trips)).unwrap(), units);
    assert_eq!(world.keys(trips, None, 5_000).len(), 2_000);
    assert_eq!(world.number_now(trips, &7_i64.to_be_bytes()), Some(3));
    assert!(world.publish(trips, "u3", 3, Vec::new()).already);
    world.publish(trips, "u4", 4, vec![world.row(SECRET, at(-1), at(-1), 5)]);
    assert_eq!(world.number_now(trips, SECRET), Some(5), "what comes later is kept");
}

/// How many files below a folder hold these bytes.
pub(super) fn files_with(folder: &Path, bytes: &[u8]) -> usize {
    let mut found = 0;
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found += files_with(&entry.path(), bytes);
        } else {
            let content = fs::read(entry.path()).unwrap();
            found += usize::from(content.windows(bytes.len()).any(|window| window == bytes));
        }
    }
    found
}
