//! What the targets share.

use asof_model::ValueType;

/// Types of rows, one list for each byte.
pub fn types(choice: u8) -> Vec<ValueType> {
    const LISTS: [&[&str]; 6] = [
        &["int64", "float64", "string"],
        &["bool", "string", "int32", "json", "bytes", "date", "timestamp"],
        &["list(string)", "map(string, int64)", "embedding(3)", "uuid"],
        &["decimal(20, 4)", "float32", "list(float64)", "string"],
        &["string"],
        &[],
    ];
    let list = LISTS[usize::from(choice) % LISTS.len()];
    list.iter().map(|name| ValueType::parse(name).expect("the name of a type")).collect()
}

/// The byte that chooses, and the bytes that are read.
pub fn split(data: &[u8]) -> Option<(u8, &[u8])> {
    let (choice, rest) = data.split_first()?;
    Some((*choice, rest))
}
