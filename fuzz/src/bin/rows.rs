//! Rows, entries and remembered versions of the online store: any bytes are read or refused, and what is read is written so
//! that it reads the same.
#![no_main]

use asof_fuzz::{split, types};
use asof_model::Instant;
use asof_online::entry::{decode_entry, encode_entry, overflow_from, row_at, smallest_event};
use asof_online::{RowLayout, versions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = split(data) else { return };
    let layout = RowLayout::new(&types(choice));
    if layout.check(bytes).is_ok() {
        let cells = layout.cells(bytes).expect("a row that was checked");
        let written = layout.encode(&cells);
        assert_eq!(layout.cells(&written).expect("a row that was written"), cells);
        assert_eq!(layout.canonical(&written).ok(), layout.canonical(bytes).ok());
    }
    let t = Instant::EPOCH;
    let _ = (row_at(bytes, t).is_ok(), overflow_from(bytes).is_ok(), smallest_event(bytes, None).is_ok());
    if let Ok(rows) = decode_entry(bytes, None) {
        let written = encode_entry(&rows).expect("rows of one entry");
        let again =
            decode_entry(&written.entry, written.overflow.as_deref()).expect("an entry that was written");
        assert_eq!(again, rows);
    }
    if let Ok(known) = versions::read(bytes) {
        assert_eq!(versions::read(&versions::write(&known)).expect("versions that were written"), known);
    }
});
