//! The Parquet files of a source, read in place: worlds in files of any layout, and files that are not what they were.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asof_engine::EngineError;
use asof_engine::columns::{CREATED, EVENT};
use asof_engine::source;
use asof_model::spec::Source;
use asof_model::{Cell, Instant, KnownAt, Location};
use asof_objects::Objects;
use asof_testkit::world::{Shape, World};
use asof_training::TrainingError;
use asof_training::history::SourceHistory;
use asof_training::join::{UnitFacts, Units};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;

use crate::join::{any_case, check_answer};
use crate::worlds::{Reading, batch, features, keys, run_on};

/// How files are laid out.
#[derive(Debug, Clone)]
struct Layout {
    rows_of_file: usize,
    rows_of_group: usize,
    rows_of_page: usize,
    statistics: EnabledStatistics,
    dictionary: bool,
    bloom_filters: bool,
    second_version: bool,
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let statistics = select(vec![EnabledStatistics::None, EnabledStatistics::Chunk, EnabledStatistics::Page]);
    (1_usize..30, 1_usize..12, 1_usize..6, statistics, any::<[bool; 3]>()).prop_map(
        |(rows_of_file, rows_of_group, rows_of_page, statistics, flags)| {
            let [dictionary, bloom_filters, second_version] = flags;
            Layout {
                rows_of_file,
                rows_of_group,
                rows_of_page,
                statistics,
                dictionary,
                bloom_filters,
                second_version,
            }
        },
    )
}

impl Layout {
    fn properties(&self) -> WriterProperties {
        let version =
            if self.second_version { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        WriterProperties::builder()
            .set_writer_version(version)
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(self.rows_of_group))
            .set_data_page_row_count_limit(self.rows_of_page)
            .set_write_batch_size(1)
            .set_statistics_enabled(self.statistics)
            .set_dictionary_enabled(self.dictionary)
            .set_bloom_filter_enabled(self.bloom_filters)
            .build()
    }
}

/// A world whose rows can stand in files: nobody published them, and no value is in ERROR.
fn plain(mut world: World) -> World {
    world.units.truncate(1);
    for unit in &mut world.units {
        unit.visible = Instant::MIN;
    }
    for row in &mut world.rows {
        row.unit = 0;
        for cell in row.cells.iter_mut().filter(|cell| **cell == Cell::Error) {
            *cell = Cell::Null;
        }
    }
    world
}

fn write(world: &World, order: &[usize], layout: &Layout) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    // No rows are a file too.
    for (number, rows) in
        order.chunks(layout.rows_of_file).chain(order.is_empty().then_some(order)).enumerate()
    {
        let rows = batch(world, rows);
        let places: Vec<usize> = (0..rows.num_columns() - 1).collect();
        let rows = rows.project(&places).unwrap();
        let file = File::create(folder.path().join(format!("part-{number:03}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(layout.properties())).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
    }
    folder
}

/// The history of a folder, as its files are now.
fn history(world: &World, folder: &Path) -> SourceHistory {
    let source = Source {
        name: "rows".to_owned(),
        event: EVENT.to_owned(),
        created: Some(CREATED.to_owned()),
        ..Source::default()
    };
    let at = Location::Local(folder.to_owned());
    let files = source::list("source `rows`", &at, None, &Objects::new([])).unwrap();
    let (keys, features) = (keys(world), features(world));
    SourceHistory::new(&source, files, [(keys.as_slice(), features.as_slice())]).unwrap()
}

fn units(world: &World) -> Units {
    let mut units = Units::default();
    let facts = UnitFacts {
        visible: Instant::MIN,
        features: world.features.len(),
        bulk: Vec::new(),
        replaced: Vec::new(),
        stays: false,
    };
    units.add("all", facts);
    units
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Goal: files of a source give what the oracle says, however they are cut into row groups and pages, with statistics,
    /// bloom filters and dictionaries or without, in however little memory.
    #[test]
    fn files_agree_with_the_oracle((world, reading) in any_case(Shape::default()), layout in any_layout()) {
        let world = plain(world);
        let known_at = match reading.known_at {
            KnownAt::Served => KnownAt::Event,
            known_at => known_at,
        };
        let reading = Reading { known_at, ..reading };
        let folder = write(&world, &reading.order, &layout);
        let answers = run_on(&world, &reading, Arc::new(history(&world, folder.path())), units(&world), false);
        check_answer(&world, &reading, &answers.unwrap())?;
    }
}

/// Goal: a file that was replaced, cut, or taken away after it was listed is an error that names it, and never half of an
/// answer.
#[test]
fn files_that_change() {
    let world = plain(
        (0..)
            .map(|seed| World::from_seed(seed, Shape::default()))
            .find(|world| world.rows.len() > 8)
            .unwrap(),
    );
    let layout = Layout {
        rows_of_file: 4,
        rows_of_group: 100,
        rows_of_page: 100,
        statistics: EnabledStatistics::None,
        dictionary: true,
        bloom_filters: false,
        second_version: false,
    };
    let reading = Reading::plain(&world, &[0], KnownAt::Event);
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("taken away", |path| std::fs::remove_file(path).unwrap()),
        ("cut", |path| File::options().write(true).open(path).unwrap().set_len(40).unwrap()),
        ("another", |path| {
            std::fs::copy(path.with_file_name("part-000.parquet"), path).unwrap();
            File::options().append(true).open(path).unwrap().set_len(0).unwrap();
        }),
        ("longer", |path| {
            use std::io::Write;
            File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
        }),
    ];
    for (what, change) in changes {
        let folder = write(&world, &reading.order, &layout);
        let history = history(&world, folder.path());
        let path: PathBuf = folder.path().join("part-001.parquet");
        change(&path);
        let answers = run_on(&world, &reading, Arc::new(history), units(&world), false);
        let Err(TrainingError::Engine(error)) = answers else { panic!("{what}: an answer") };
        let named = match &error {
            EngineError::Io { path, .. }
            | EngineError::Changed { path }
            | EngineError::Damaged { path, .. } => path,
            other => panic!("{what}: {other}"),
        };
        assert_eq!(named, &path, "{what}");
    }
}
