//! The file `keys`: how far the log was reclaimed, and the keys that are remembered beyond that. Its bytes are in the
//! table of `format`.
//!
//! It is written whole beside and then takes the name, before any segment is removed. So there is always one that is
//! whole, and a key is in it or in a segment.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use asof_model::Instant;

use crate::error::LogError;
use crate::folder;
use crate::format::Fields;
use crate::keys::KeyRecord;

const FILE: &str = "keys";
const FILE_UNFINISHED: &str = "keys.unfinished";
const MAGIC: &[u8; 8] = b"asof-key";
/// The version of the file.
const VERSION: u8 = 1;
/// Bytes before the first key.
const HEADER_BYTES: usize = 36;
/// Where the number of keys stands.
const COUNT_AT: usize = 28;
/// Bytes of a key.
const RECORD_BYTES: usize = 52;

/// What the file says.
pub(crate) struct KeysFile {
    /// The last position that was reclaimed.
    pub(crate) reclaimed: u64,
    /// The latest admitted of all batches at that time.
    pub(crate) newest: Instant,
    /// The keys of reclaimed batches, in order of positions.
    pub(crate) records: Vec<KeyRecord>,
}

/// The file as it is made.
pub(crate) struct Unwritten {
    bytes: Vec<u8>,
    count: u64,
}

impl Unwritten {
    pub(crate) fn new(reclaimed: u64, newest: Instant) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend([VERSION, 0, 0, 0]);
        bytes.extend(reclaimed.to_le_bytes());
        bytes.extend(newest.micros().to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        Self { bytes, count: 0 }
    }

    /// Adds a key, after those of earlier positions.
    pub(crate) fn push(&mut self, record: &KeyRecord) {
        self.bytes.extend(record.name);
        self.bytes.extend(record.digest);
        self.bytes.extend(record.first.to_le_bytes());
        self.bytes.extend(record.entries.to_le_bytes());
        self.bytes.extend(record.admitted.micros().to_le_bytes());
        self.count += 1;
    }

    /// Makes it the file of the folder, durable.
    pub(crate) fn write(mut self, folder: &Path) -> Result<(), LogError> {
        self.bytes[COUNT_AT..HEADER_BYTES].copy_from_slice(&self.count.to_le_bytes());
        let checksum = crc32fast::hash(&self.bytes);
        self.bytes.extend(checksum.to_le_bytes());
        let unfinished = folder.join(FILE_UNFINISHED);
        let write = || -> io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(&self.bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, folder.join(FILE))
        };
        write().map_err(|source| folder::explain(&unfinished, source))?;
        folder::sync(folder)
    }
}

/// Reads the file, if there is one, and removes one that was not finished.
///
/// # Errors
/// [`LogError::Damaged`], [`LogError::UnknownVersion`], or a failure of the file system.
pub(crate) fn read(folder: &Path) -> Result<Option<KeysFile>, LogError> {
    let unfinished = folder.join(FILE_UNFINISHED);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(folder::explain(&unfinished, error));
        }
        _ => {}
    }
    let file = folder.join(FILE);
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(folder::explain(&file, error)),
    };
    let damaged = |problem| LogError::Damaged { file: file.clone(), offset: 0, problem };
    let (body, checksum) = bytes.split_last_chunk().ok_or_else(|| damaged("it is cut short"))?;
    if u32::from_le_bytes(*checksum) != crc32fast::hash(body) {
        return Err(damaged("it has another checksum"));
    }
    match body.get(MAGIC.len()) {
        Some(&found) if found != VERSION && body.starts_with(MAGIC) => {
            return Err(LogError::UnknownVersion { file, found, newest: VERSION });
        }
        _ => {}
    }
    decode(body).map(Some).ok_or_else(|| damaged("it holds no keys"))
}

fn decode(body: &[u8]) -> Option<KeysFile> {
    let mut fields = Fields(body);
    if fields.array::<8>()? != *MAGIC {
        return None;
    }
    fields.array::<4>()?;
    let (reclaimed, newest, count) = (fields.u64()?, fields.instant()?, fields.u64()?);
    if count.checked_mul(RECORD_BYTES as u64)? != fields.0.len() as u64 {
        return None;
    }
    let mut records = Vec::with_capacity(fields.0.len() / RECORD_BYTES);
    while !fields.0.is_empty() {
        records.push(KeyRecord {
            name: fields.array()?,
            digest: fields.array()?,
            first: fields.u64()?,
            entries: fields.u32()?,
            admitted: fields.instant()?,
        });
    }
    let right = |record: &KeyRecord| record.first >= 1 && record.first <= reclaimed && record.entries >= 1;
    let sorted = records.is_sorted_by_key(|record| record.first);
    (sorted && records.iter().all(right)).then_some(KeysFile { reclaimed, newest, records })
}

#[cfg(test)]
mod tests {
    use asof_model::{Explain, Kind};

    use super::*;

    fn write(folder: &Path) -> Vec<KeyRecord> {
        let record = |first| KeyRecord {
            name: [first as u8; 16],
            digest: [9; 16],
            first,
            entries: 2,
            admitted: Instant::EPOCH,
        };
        let records = vec![record(1), record(3)];
        let mut unwritten = Unwritten::new(4, Instant::EPOCH);
        records.iter().for_each(|record| unwritten.push(record));
        unwritten.write(folder).unwrap();
        records
    }

    /// Goal: what was written is read, and what was left unfinished is no obstacle.
    #[test]
    fn written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap().is_none());
        let records = write(folder.path());
        fs::write(folder.path().join(FILE_UNFINISHED), "half").unwrap();
        let found = read(folder.path()).unwrap().unwrap();
        assert_eq!((found.reclaimed, found.newest, found.records), (4, Instant::EPOCH, records));
        assert!(!folder.path().join(FILE_UNFINISHED).exists());
    }

    /// Goal: a file with any byte changed, or cut anywhere, is damaged and named.
    #[test]
    fn any_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let file = folder.path().join(FILE);
        let bytes = fs::read(&file).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            for damaged in [&changed[..], &bytes[..at]] {
                fs::write(&file, damaged).unwrap();
                let error = read(folder.path()).err().unwrap();
                assert_eq!(error.kind(), Kind::Corrupt, "byte {at}");
                assert!(error.to_string().contains("keys"), "{error}");
            }
        }
    }
}
