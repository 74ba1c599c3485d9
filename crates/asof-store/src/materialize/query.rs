//! The input of a source with a query over all rows: the files of every source that it reads.

use std::collections::BTreeMap;
use std::path::PathBuf;

use asof_engine::EngineError;
use asof_engine::source::{self, Fingerprint, RawBatches, SourceFile, WantedColumn};
use asof_engine::transform::query::{EventRange, QueryRun, SourceRows, WholeRows};
use asof_model::Instant;
use asof_model::plan::Catalog;
use asof_model::spec::Source;
use asof_training::join::Interval;

use crate::{Store, StoreError};

/// A query and the files that it reads.
pub struct QueryInput {
    source: Source,
    /// By name, the sources that it reads, with their files in order of their paths.
    sources: BTreeMap<String, (Source, Vec<(SourceFile, Fingerprint)>)>,
    /// Where folders for what is spilled are made.
    scratch: PathBuf,
}

impl Store {
    /// The files of all sources that the query of `source` reads, identified. `None`: it has no query over all rows.
    pub(crate) fn query_input(
        &self,
        catalog: &Catalog,
        source: &Source,
    ) -> Result<Option<QueryInput>, StoreError> {
        let Some(meaning) = source.meaning().filter(|meaning| !meaning.row_wise) else { return Ok(None) };
        let mut sources = BTreeMap::new();
        for name in meaning.inputs.keys() {
            let own = Some(source).filter(|own| own.name == *name);
            let Some(read) = own.or_else(|| catalog.definitions.sources.get(name)) else {
                return Err(StoreError::Corrupt(format!(
                    "the registry has no source `{name}`, which a query reads"
                )));
            };
            let what = format!("source `{name}`");
            let listed = source::list(&what, &self.project().location(read)?, read.format, self.objects())?;
            let mut files = Vec::with_capacity(listed.len());
            for file in listed {
                let fingerprint = file.fingerprint()?;
                files.push((file, fingerprint));
            }
            sources.insert(name.clone(), (read.clone(), files));
        }
        let scratch = self.project().scratch_path();
        Ok(Some(QueryInput { source: source.clone(), sources, scratch }))
    }
}

impl QueryInput {
    /// What identifies all that is read: the content of the files, whatever their names and order.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        add("query");
        for (name, (_, files)) in &self.sources {
            add(name);
            let mut hashes: Vec<&str> =
                files.iter().map(|(_, fingerprint)| fingerprint.hash.as_str()).collect();
            hashes.sort_unstable();
            hashes.into_iter().for_each(&mut add);
        }
        Fingerprint {
            path: format!("sql of source `{}`", self.source.name),
            size: self.fingerprints().map(|fingerprint| fingerprint.size).sum(),
            modified: 0,
            hash: hasher.finalize().to_hex().to_string(),
            etag: None,
            table_version: None,
        }
    }

    /// What identifies each file.
    pub fn fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        self.sources.values().flat_map(|(_, files)| files).map(|(_, fingerprint)| fingerprint)
    }

    /// Checks that every file is the one that was identified.
    pub fn check_unchanged(&self) -> Result<(), EngineError> {
        let mut files = self.sources.values().flat_map(|(_, files)| files);
        files.try_for_each(|(file, fingerprint)| file.check_unchanged(fingerprint))
    }

    /// The rows of the query with an event in the range, and others: with a lookback, what lies so far before the range is
    /// read too, and its rows can come out.
    pub fn open(&self, columns: &[WantedColumn], range: Interval) -> Result<RawBatches, EngineError> {
        self.run(range).open(columns)
    }

    /// All rows with all columns.
    pub fn whole_rows(&self) -> Result<WholeRows, EngineError> {
        self.run(Interval { from: i64::MIN, until: i64::MAX }).whole_rows()
    }

    fn run(&self, range: Interval) -> QueryRun<'_> {
        let lookback = self.source.transform.as_ref().and_then(|transform| transform.lookback);
        let rows = self.sources.iter().map(|(name, (read, files))| {
            let range = lookback.map(|lookback| EventRange {
                column: read.column_of(&read.event).to_owned(),
                from: Instant::from_micros_clamped(range.from.saturating_sub(lookback.micros())),
                until: (range.until != i64::MAX).then(|| Instant::from_micros_clamped(range.until)),
            });
            let files = files.iter().map(|(file, _)| file.clone()).collect();
            (name.clone(), SourceRows { source: read.clone(), files, range })
        });
        // No two loads share one, and one that a killed load left behind is nobody's.
        let scratch = self.scratch.join(format!("{}-{:p}", std::process::id(), self));
        QueryRun { source: &self.source, rows: rows.collect(), scratch }
    }
}
