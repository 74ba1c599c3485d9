//! The archive: segments that everybody has folded, for whoever begins to fold later.
//!
//! An archived segment is one file in the folder `archive`, named after its first and last position: the bytes of the segment,
//! packed with zstd. It is written whole and durable before the segment goes. An entry that was erased since is empty, so
//! that all others keep their positions.

use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use asof_model::Instant;
use bytes::Bytes;

use crate::batch::{Batch, Record};
use crate::error::LogError;
use crate::folder;
use crate::format::{self, FrameHeader, Payload, SEGMENT_HEADER_BYTES, encode_segment_header};
use crate::frames::{Frames, Next};
use crate::log::Log;
use crate::segment::{self, Segment};

const FOLDER: &str = "archive";
const EXTENSION: &str = "zst";
const UNFINISHED: &str = "unfinished";
/// Digits of a position in a name, so that the order of names is that of positions.
const NAME_DIGITS: usize = 20;
/// What zstd is asked for: packs JSON to about a tenth, at some hundred MB a second.
const LEVEL: i32 = 3;

/// The positions of an archived segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Archived {
    first: u64,
    last: u64,
}

impl Archived {
    fn path(self, log: &Path) -> PathBuf {
        let Self { first, last } = self;
        log.join(FOLDER).join(format!("{first:0NAME_DIGITS$}-{last:0NAME_DIGITS$}.{EXTENSION}"))
    }

    /// The bytes of the segment.
    fn read(self, log: &Path) -> Result<Vec<u8>, LogError> {
        let path = self.path(log);
        let read = || {
            let mut bytes = Vec::new();
            zstd::Decoder::new(File::open(&path)?)?.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| folder::explain(&path, source))?;
        match format::decode_segment_header(&bytes[..bytes.len().min(SEGMENT_HEADER_BYTES)]) {
            Some((format::VERSION, first)) if first == self.first => Ok(bytes),
            Some((found, first)) if first == self.first => {
                Err(LogError::UnknownVersion { file: path, found, newest: format::VERSION })
            }
            _ => Err(LogError::Damaged {
                file: path,
                offset: 0,
                problem: "it is another segment by its header",
            }),
        }
    }

    fn write(self, log: &Path, bytes: &[u8]) -> Result<(), LogError> {
        let path = self.path(log);
        let beside = path.with_extension(UNFINISHED);
        let written = || {
            let mut packed = zstd::Encoder::new(File::create(&beside)?, LEVEL)?;
            packed.write_all(bytes)?;
            packed.finish()?.sync_all()?;
            fs::rename(&beside, &path)
        };
        written().map_err(|source| folder::explain(&path, source))?;
        folder::sync(&log.join(FOLDER))
    }
}

/// Keeps a segment that is about to go.
pub(crate) fn keep(log: &Path, segment: &Segment) -> Result<(), LogError> {
    let archived = Archived { first: segment.first, last: segment.next - 1 };
    let path = segment::path(log, segment.first);
    let mut bytes = Vec::new();
    let made = fs::create_dir_all(log.join(FOLDER)).and_then(|()| folder_is_durable(log));
    let read = made.and_then(|()| File::open(&path)?.take(segment.length).read_to_end(&mut bytes));
    read.map_err(|source| folder::explain(&path, source))?;
    archived.write(log, &bytes)
}

fn folder_is_durable(log: &Path) -> std::io::Result<()> {
    File::open(log)?.sync_all()
}

/// The archived segments, in order.
fn list(log: &Path) -> Result<Vec<Archived>, LogError> {
    let folder = log.join(FOLDER);
    let failed = |source| folder::explain(&folder, source);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut all = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let parts = stem.split_once('-').and_then(|(first, last)| {
            Some(Archived { first: first.parse().ok()?, last: last.parse().ok()? })
        });
        let archived = parts.filter(|archived| archived.path(log) == file);
        all.push(archived.ok_or(LogError::Damaged { file, offset: 0, problem: "its name is no range" })?);
    }
    all.sort_unstable();
    Ok(all)
}

/// The frames of a segment in memory, one after the other.
fn each_frame(
    path: &Path,
    first: u64,
    bytes: &[u8],
    mut with: impl FnMut(&FrameHeader, Vec<u8>) -> Option<()>,
) -> Result<(), LogError> {
    let mut frames =
        Frames::new(Cursor::new(bytes), path, first, SEGMENT_HEADER_BYTES as u64, bytes.len() as u64)?;
    let mut expected = Some(first);
    loop {
        let header = match frames.next(expected)? {
            Next::Frame(header) => header,
            Next::End => return Ok(()),
            Next::Broken(problem) => return Err(frames.damaged(problem)),
        };
        expected = Some(header.next());
        let offset = frames.offset();
        let damaged = |problem| LogError::Damaged { file: path.to_owned(), offset, problem };
        let payload = frames.payload(&header)?.ok_or_else(|| damaged("a batch has another checksum"))?;
        if header.entries > 0 {
            with(&header, payload).ok_or_else(|| damaged("a batch is whole and can't be read"))?;
        }
    }
}

impl Log {
    /// The first position that can be read: of the archive, where there is one.
    ///
    /// # Errors
    /// A failure of the file system; a file in the archive that is none of it.
    pub fn oldest(&self) -> Result<u64, LogError> {
        let first = self.first();
        Ok(list(&self.folder)?.first().map_or(first, |archived| archived.first.min(first)))
    }

    /// The batches from the one that holds `from` on, of one archived segment. `None`: it is not archived.
    pub(crate) fn archived(&self, from: u64) -> Result<Option<Vec<Record>>, LogError> {
        let holds = |archived: &Archived| (archived.first..=archived.last).contains(&from);
        let Some(archived) = list(&self.folder)?.into_iter().find(holds) else { return Ok(None) };
        let (path, mut records) = (archived.path(&self.folder), Vec::new());
        each_frame(&path, archived.first, &archived.read(&self.folder)?, |header, payload| {
            if header.next() > from {
                records.push(format::decode_record(header, payload)?);
            }
            Some(())
        })?;
        Ok(Some(records))
    }

    /// Empties the archived entries of which `erased` says so by topic, when they were admitted, and themselves. What is not
    /// archived yet stays: [`Log::seal`] and [`Log::folded`] come before. Returns how many entries were emptied.
    ///
    /// A segment is replaced whole. A crash leaves those that were not reached; called again, it goes on.
    ///
    /// # Errors
    /// Damaged files; failures of the file system.
    pub fn erase_archived(
        &self,
        mut erased: impl FnMut(&str, Instant, &[u8]) -> bool,
    ) -> Result<u64, LogError> {
        let _turn = self.reclaiming.lock();
        let mut count = 0;
        for archived in list(&self.folder)? {
            let mut out = encode_segment_header(archived.first).to_vec();
            let before = count;
            let bytes = archived.read(&self.folder)?;
            each_frame(&archived.path(&self.folder), archived.first, &bytes, |header, payload| {
                let digest = Payload::decode(&payload, header.entries)?.key.map(|(_, digest)| digest);
                let mut record = format::decode_record(header, payload)?;
                for entry in record.entries.iter_mut().filter(|entry| !entry.is_empty()) {
                    if erased(&record.topic, record.admitted, entry) {
                        *entry = Bytes::new();
                        count += 1;
                    }
                }
                let Record { topic, key, admitted, entries, .. } = &record;
                let batch = Batch { topic, key: key.as_deref(), admitted: *admitted, entries };
                let payload = format::encode_payload(&batch, digest);
                // What follows is whole and synced.
                let (length, group) = (payload.len() as u32, out.len() as u64);
                let checksum = crc32fast::hash(&payload);
                let header = FrameHeader { length, group, checksum, ..*header };
                out.extend(header.encode(archived.first, group));
                out.extend(payload);
                Some(())
            })?;
            if count > before {
                archived.write(&self.folder, &out)?;
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogOptions;

    fn options() -> LogOptions {
        LogOptions { segment_bytes: 400, archive: true, ..LogOptions::default() }
    }

    fn append(log: &Log, topic: &str, entries: &[&'static str], key: Option<&[u8]>) -> u64 {
        let entries: Vec<Bytes> = entries.iter().map(|entry| Bytes::from_static(entry.as_bytes())).collect();
        log.append(Batch { topic, key, admitted: Instant::EPOCH, entries: &entries }).unwrap().last
    }

    fn entries(log: &Log, from: u64) -> Vec<(u64, String, String)> {
        let (mut found, mut next) = (Vec::new(), from);
        while next <= log.durable() {
            for record in log.read(next, 1).unwrap() {
                next = record.last() + 1;
                for (place, entry) in record.entries.iter().enumerate() {
                    let text = String::from_utf8(entry.to_vec()).unwrap();
                    found.push((record.first + place as u64, record.topic.clone(), text));
                }
            }
        }
        found
    }

    /// Goal: what everybody has folded is read as before, from the archive, also when the log is opened again; and what is
    /// erased is empty in it, with all else at its place.
    #[test]
    fn what_was_reclaimed_is_archived() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), options()).unwrap();
        for number in 0..20 {
            let topic = if number % 3 == 0 { "b" } else { "a" };
            append(&log, topic, &["one", "secret", "three"], (number == 4).then_some(&b"key"[..]));
        }
        let before = entries(&log, 1);
        assert_eq!(before.len(), 60);
        log.seal().unwrap();
        log.folded(60).unwrap();
        assert_eq!((log.first(), log.oldest().unwrap()), (61, 1));
        assert_eq!(entries(&log, 1), before);
        assert_eq!(entries(&log, 30)[0].0, 28, "the batch that holds it comes whole");
        append(&log, "a", &["secret"], None);
        drop(log);

        let log = Log::open(folder.path(), options()).unwrap();
        assert_eq!(entries(&log, 1)[..60], before);
        let erased = |topic: &str, _, entry: &[u8]| topic == "a" && entry == b"secret";
        assert_eq!(log.erase_archived(erased).unwrap(), 13);
        assert_eq!(log.erase_archived(erased).unwrap(), 0);
        let after = entries(&log, 1);
        for ((one, other), place) in before.iter().zip(&after).zip(0..) {
            let gone = one.1 == "a" && one.2 == "secret";
            assert_eq!((one.0, &one.1), (other.0, &other.1));
            assert_eq!(other.2, if gone { "" } else { &one.2 }, "{place}");
        }
        assert_eq!(after[60].2, "secret", "it is not archived yet");
        log.seal().unwrap();
        log.folded(61).unwrap();
        assert_eq!(log.erase_archived(erased).unwrap(), 1);
        let texts = std::fs::read_dir(folder.path().join(FOLDER)).unwrap().map(|entry| {
            let bytes = zstd::decode_all(File::open(entry.unwrap().path()).unwrap()).unwrap();
            String::from_utf8_lossy(&bytes).matches("secret").count()
        });
        assert_eq!(texts.sum::<usize>(), 7, "those of the other topic");
    }

    /// Goal: a damaged file of the archive is an error that names it.
    #[test]
    fn damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), options()).unwrap();
        append(&log, "a", &["one"], None);
        log.seal().unwrap();
        log.folded(1).unwrap();
        let file = list(folder.path()).unwrap()[0].path(folder.path());
        std::fs::write(&file, zstd::encode_all(&b"nothing"[..], 1).unwrap()).unwrap();
        assert!(matches!(log.read(1, 1), Err(LogError::Damaged { .. })));
        std::fs::write(&file, b"nothing").unwrap();
        assert!(log.read(1, 1).is_err());
    }
}
