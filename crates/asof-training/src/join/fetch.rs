//! Winners to features: piece by piece, the rows that some label met.

use std::sync::Arc;

use super::kept::RowStore;
use super::parts::{Delivery, Parts};
use super::run::Run;
use super::spec::ViewSpec;
use super::winners::{Meeting, Met};
use crate::{TrainingError, pool};

/// Reads the features `read` of the rows that labels met, and delivers them.
///
/// # Errors
/// Those of reading; [`TrainingError::Scratch`]; [`TrainingError::Stopped`].
pub(crate) fn fill(
    run: &Run<'_>,
    spec: &ViewSpec,
    store: &RowStore<'_, '_>,
    read: &[usize],
    met: &Met<'_>,
    parts: &Parts<'_>,
) -> Result<(), TrainingError> {
    let what = format!("fetch {}", run.spec.histories[spec.history].what());
    let labels: u64 = (0..met.buckets()).map(|bucket| met.labels(bucket)).sum();
    run.progress.begin(&what, "labels", Some(labels));
    let done = pool::each(run.threads, met.buckets(), |bucket| {
        let meetings = met.drain(bucket)?;
        for of_piece in meetings.chunk_by(|one, other| one.address >> 32 == other.address >> 32) {
            run.check()?;
            piece(spec, store, read, of_piece, parts)?;
            run.progress.advance(&what, of_piece.len() as u64);
        }
        Ok(())
    });
    run.progress.finish(&what, &format!("{labels} labels"));
    done
}

/// `meetings` are of one piece, in order of its rows.
fn piece(
    spec: &ViewSpec,
    store: &RowStore<'_, '_>,
    read: &[usize],
    meetings: &[Meeting],
    parts: &Parts<'_>,
) -> Result<(), TrainingError> {
    let Some(first) = meetings.first() else { return Ok(()) };
    let mut rows: Vec<u32> = meetings.iter().map(|meeting| meeting.address as u32).collect();
    rows.dedup();
    let rows: Arc<[u32]> = rows.into();
    let (mut done, mut next) = (0, 0);
    store.features((first.address >> 32) as usize, spec.view, read, rows.clone(), &mut |found| {
        let count = found.columns.num_rows();
        let mut labels = Vec::new();
        for row in 0..count {
            while let Some(meeting) =
                meetings.get(next).filter(|each| each.address as u32 == rows[done + row])
            {
                let Meeting { label, expired, event, .. } = *meeting;
                labels.push(Delivery { row: row as u32, label, expired, event });
                next += 1;
            }
        }
        done += count;
        parts.deliver(found, labels)
    })
}
