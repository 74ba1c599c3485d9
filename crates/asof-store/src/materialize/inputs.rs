//! What a load reads, and the names of the units that come of it.

use std::path::Path;

use asof_engine::source::SourceFile;
use asof_engine::source::files::{self, Fingerprint};
use asof_model::spec::FileFormat;
use serde_json::json;

use crate::StoreError;

/// Small files are read together up to this many bytes, so that a folder of many becomes few units.
const PACK_BYTES: u64 = 32 * 1024 * 1024;

/// Everything beside the files that decides which rows a unit holds: the table, the semantic hash, the range, and how
/// units are cut. Two loads with equal scope and equal files make the same units.
#[derive(Debug, Clone)]
pub struct Scope(pub String);

/// The files of a load.
pub struct Inputs {
    packs: Vec<Pack>,
    digest: String,
}

/// Files that are cut into units together.
pub struct Pack {
    /// In order of their paths.
    pub files: Vec<(SourceFile, Fingerprint)>,
}

impl Inputs {
    /// Lists and fingerprints the files of a source.
    ///
    /// # Errors
    /// Those of listing and reading files.
    pub fn read(
        what: &str,
        path: &Path,
        format: Option<FileFormat>,
        scope: &Scope,
    ) -> Result<Self, StoreError> {
        let mut packs: Vec<Pack> = Vec::new();
        let mut hasher = blake3::Hasher::new();
        add(&mut hasher, &scope.0);
        let mut room = 0;
        for file in files::list(what, path, format)? {
            let fingerprint = file.fingerprint()?;
            add(&mut hasher, &fingerprint.hash);
            match packs.last_mut().filter(|_| fingerprint.size <= room) {
                Some(pack) => {
                    room -= fingerprint.size;
                    pack.files.push((file, fingerprint));
                }
                None => {
                    room = PACK_BYTES.saturating_sub(fingerprint.size);
                    packs.push(Pack { files: vec![(file, fingerprint)] });
                }
            }
        }
        Ok(Self { packs, digest: hasher.finalize().to_hex().to_string() })
    }

    /// The packs, in order.
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// How many files there are.
    pub fn files(&self) -> u64 {
        self.packs.iter().map(|pack| pack.files.len() as u64).sum()
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.packs.iter().flat_map(|pack| &pack.files).map(|(_, fingerprint)| fingerprint.size).sum()
    }

    /// Identifies scope and content of everything read.
    pub fn digest(&self) -> String {
        self.digest.clone()
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

    /// What a unit of this pack has consumed, to be recorded in the commit of its rows.
    pub fn record(&self) -> serde_json::Value {
        json!(self.files.iter().map(|(_, fingerprint)| fingerprint).collect::<Vec<_>>())
    }
}

fn add(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}
