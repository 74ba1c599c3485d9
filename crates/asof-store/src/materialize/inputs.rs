//! What a load reads, and the names of the units that come of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use asof_engine::EngineError;
use asof_engine::source::{self, Fingerprint, RawBatches, SourceFile, WantedColumn};
use asof_model::Location;
use asof_model::spec::FileFormat;
use asof_objects::Objects;
use asof_training::join::Interval;
use serde_json::json;

use super::query::QueryInput;
use crate::StoreError;

/// Small files are read together up to this many bytes, so that a folder of many becomes few units.
const PACK_BYTES: u64 = 32 * 1024 * 1024;

/// Files of one pack; their hashes stand in one journal note.
const PACK_FILES_MAX: usize = 5_000;

/// Everything beside the files that decides which rows a unit holds: the table, the semantic hash, the range, and how
/// units are cut. Two loads with equal scope and equal files make the same units.
#[derive(Debug, Clone)]
pub struct Scope(pub String);

/// What a file with the content of another one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// A copy of it: its rows say nothing more.
    Skip,
    /// A file of its own: its events count as well.
    Count,
}

/// Where the files of a source are, and what they are.
pub struct Listing<'a> {
    /// Where they are.
    pub at: &'a Location,
    /// `None`: their names say.
    pub format: Option<FileFormat>,
    /// What one with the content of another is.
    pub copies: Copies,
}

/// The files of a load that are to be read.
#[derive(Default)]
pub struct Inputs {
    /// In order.
    pub packs: Vec<Pack>,
    /// Files of the source.
    pub files: u64,
    /// Of those, files whose rows are all published: the same content was read before.
    pub files_known: u64,
    /// The paths of all of them.
    pub paths: HashSet<String>,
    /// The identities of all of them.
    pub identities: HashSet<String>,
}

/// What rows are read from.
#[derive(Clone)]
pub enum Input {
    /// A file of the source.
    File(Box<SourceFile>),
    /// The source's query, over the files of all sources that it reads.
    Query(Arc<QueryInput>),
}

/// Files that are cut into units together; or a query.
pub struct Pack {
    /// Their rows in this range of events are read.
    pub range: Interval,
    /// In order of their paths.
    pub files: Vec<(Input, Fingerprint)>,
}

impl Input {
    /// Reads the wanted columns. Blocks.
    pub fn open(
        &self,
        what: &str,
        columns: &[WantedColumn],
        range: Interval,
    ) -> Result<RawBatches, EngineError> {
        match self {
            Self::File(file) => source::open(what, file, columns),
            Self::Query(query) => query.open(columns, range),
        }
    }

    /// Checks that what was read is what was identified.
    pub fn check_unchanged(&self, fingerprint: &Fingerprint) -> Result<(), EngineError> {
        match self {
            Self::File(file) => file.check_unchanged(fingerprint),
            Self::Query(query) => query.check_unchanged(),
        }
    }

    /// What was consumed.
    fn record<'a>(&'a self, fingerprint: &'a Fingerprint) -> Vec<&'a Fingerprint> {
        match self {
            Self::File(_) => vec![fingerprint],
            Self::Query(query) => std::iter::once(fingerprint).chain(query.fingerprints()).collect(),
        }
    }
}

impl Inputs {
    /// Lists and fingerprints the files of a source. `unread` says of an identity in which ranges of events its rows are
    /// still to be read; files without any, and copies of one file, are left out. `recorded` says what is known of a path: a
    /// file that looks like it is not read to identify it.
    ///
    /// # Errors
    /// Those of listing and reading files; a column of `columns` that not one of the files has.
    pub fn read(
        what: &str,
        listing: &Listing<'_>,
        objects: &Objects,
        columns: &[WantedColumn],
        unread: impl Fn(&str) -> Vec<Interval>,
        recorded: impl Fn(&str) -> Option<Fingerprint>,
    ) -> Result<Self, StoreError> {
        let mut inputs = Self::default();
        // For each range the pack that is being filled, and the bytes that still fit.
        let mut open: Vec<(Pack, u64)> = Vec::new();
        let mut seen: HashMap<String, u32> = HashMap::new();
        let listed = source::list(what, listing.at, listing.format, objects)?;
        for file in listed.clone() {
            let known = recorded(&file.path.display().to_string()).filter(|known| file.looks_like(known));
            let mut fingerprint = known.map_or_else(|| file.fingerprint(), Ok)?;
            if listing.copies == Copies::Count {
                let (hash, _) = fingerprint.hash.split_once('#').unwrap_or((&fingerprint.hash, ""));
                let (hash, seen) = (hash.to_owned(), seen.entry(hash.to_owned()).or_insert(0_u32));
                fingerprint.hash = if *seen == 0 { hash } else { format!("{hash}#{seen}") };
                *seen += 1;
            }
            inputs.files += 1;
            inputs.paths.insert(fingerprint.path.clone());
            let first = inputs.identities.insert(fingerprint.hash.clone());
            let ranges = if first { unread(&fingerprint.hash) } else { Vec::new() };
            if ranges.is_empty() {
                inputs.files_known += 1;
            }
            for range in ranges {
                let (file, fingerprint) = (Input::File(Box::new(file.clone())), fingerprint.clone());
                let filling = open.iter_mut().find(|(pack, _)| pack.range == range);
                match filling {
                    Some((pack, room)) if fingerprint.size <= *room && pack.files.len() < PACK_FILES_MAX => {
                        *room -= fingerprint.size;
                        pack.files.push((file, fingerprint));
                    }
                    full => {
                        let left = PACK_BYTES.saturating_sub(fingerprint.size);
                        let pack = Pack { range, files: vec![(file, fingerprint)] };
                        match full {
                            Some(full) => inputs.packs.push(std::mem::replace(full, (pack, left)).0),
                            None => open.push((pack, left)),
                        }
                    }
                }
            }
        }
        inputs.packs.extend(open.into_iter().map(|(pack, _)| pack));
        inputs.packs.sort_by_key(|pack| (pack.range.from, pack.range.until));
        if !inputs.packs.is_empty() {
            let unread =
                inputs.packs.iter().flat_map(|pack| &pack.files).filter_map(|(input, _)| match input {
                    Input::File(file) => Some(file.as_ref()),
                    Input::Query(_) => None,
                });
            source::check_columns(what, unread.chain(&listed), columns)?;
        }
        Ok(inputs)
    }

    /// The inputs of a source with a query over all rows: the query itself, once for each range that is unread.
    pub fn of_query(query: QueryInput, unread: impl Fn(&str) -> Vec<Interval>) -> Self {
        let fingerprint = query.fingerprint();
        let files = query.fingerprints().count() as u64;
        let ranges = unread(&fingerprint.hash);
        let known = if ranges.is_empty() { files } else { 0 };
        let query = Arc::new(query);
        let pack = |range| {
            let input = Input::Query(query.clone());
            Pack { range, files: vec![(input, fingerprint.clone())] }
        };
        Self {
            packs: ranges.into_iter().map(pack).collect(),
            files,
            files_known: known,
            paths: HashSet::from([fingerprint.path.clone()]),
            identities: HashSet::from([fingerprint.hash.clone()]),
        }
    }

    /// The bytes to read.
    pub fn bytes(&self) -> u64 {
        self.packs.iter().flat_map(|pack| &pack.files).map(|(_, fingerprint)| fingerprint.size).sum()
    }
}

impl Pack {
    /// The name of the unit that the pack's rows make from the `ordinal`th cut on.
    pub fn unit_name(&self, scope: &Scope, ordinal: u64) -> String {
        let mut hasher = blake3::Hasher::new();
        add(&mut hasher, &scope.0);
        for (_, fingerprint) in &self.files {
            add(&mut hasher, &fingerprint.hash);
        }
        hasher.update(&ordinal.to_le_bytes());
        format!("u{}", &hasher.finalize().to_hex()[..32])
    }

    /// The identity of its first input.
    pub fn identity(&self) -> Option<&str> {
        self.files.first().map(|(_, fingerprint)| fingerprint.hash.as_str())
    }

    /// The identities of its files.
    pub fn hashes(&self) -> Vec<String> {
        self.files.iter().map(|(_, fingerprint)| fingerprint.hash.clone()).collect()
    }

    /// What is known of its files.
    pub fn fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        self.files.iter().map(|(_, fingerprint)| fingerprint)
    }

    /// What a unit of this pack has consumed, to be recorded in the commit of its rows.
    pub fn record(&self) -> serde_json::Value {
        json!(self.files.iter().flat_map(|(input, of)| input.record(of)).collect::<Vec<_>>())
    }
}

fn add(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}
