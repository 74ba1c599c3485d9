//! How a training set was made, for people.

use asof_store::train::Explained;

use crate::output::{Table, count, counted, seconds, size};

/// The steps, and what was read and left out.
pub(crate) fn text(explained: &Explained) -> String {
    let mut steps = Table::new(&["step", "#time", "#peak memory"]);
    for step in &explained.steps {
        let peak = step.peak_memory_bytes.map_or_else(|| "unknown".to_owned(), size);
        steps.row([step.what.clone(), format!("{:.2} s", step.seconds), peak]);
    }
    let mut reads = Table::new(&[
        "read",
        "#files",
        "#pieces",
        "#rows",
        "#candidates",
        "#rows left out",
        "#of pages",
        "#thread time",
    ]);
    let mut reasons = String::new();
    for scan in &explained.scans {
        reads.row([
            scan.what.clone(),
            count(scan.files),
            count(scan.pieces),
            count(scan.rows),
            count(scan.candidates),
            count(scan.skipped.rows),
            count(scan.skipped.rows_of_pages),
            seconds(scan.thread_seconds),
        ]);
        let skipped = &scan.skipped;
        let whys = [
            (skipped.files_out_of_time, "file", "no event that can matter"),
            (skipped.files_without_keys, "file", "no key of a label"),
            (skipped.row_groups_out_of_time, "row group", "no event that can matter"),
            (skipped.row_groups_without_keys, "row group", "no key of a label"),
            (skipped.row_groups_by_bloom_filter, "row group", "no key of a label, by its bloom filter"),
        ];
        for (number, what, why) in whys.into_iter().filter(|(number, _, _)| *number > 0) {
            reasons.push_str(&format!("{}: {} left out: {why}\n", scan.what, counted(number, what)));
        }
    }
    let labels = &explained.labels;
    let shards: Vec<String> = labels.shards.iter().map(|shards| shards.to_string()).collect();
    let kept = match labels.in_memory {
        true => "all in memory",
        false => "part after part, rows put aside by key",
    };
    format!(
        "{reads}{reasons}\n{steps}\n{} in {} shards, {kept}; {} threads, {} of memory allowed, {} to scratch\n",
        counted(labels.rows, "label"),
        shards.join(" and "),
        explained.threads,
        size(explained.memory_bytes),
        size(explained.spilled_bytes),
    )
}
