//! Columns that stand in the names of folders: `day=2024-01-01/country=DE/part.parquet`.
//!
//! Every folder of a path that reads `name=value` is one; names and values are percent-decoded, an empty value and
//! Hive's `__HIVE_DEFAULT_PARTITION__` are null, and of two folders with one name the inner one counts. The values are
//! text, read by the same table as the fields of a CSV file. **A column of that name in the file itself goes first**:
//! it says it row by row, and folders are named by whoever sorted the files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use asof_model::location::percent_decoded;

/// What Hive and Spark write for null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The name of a folder that tells a value of a column, as it is read here.
pub fn folder_name(column: &str, value: Option<&str>) -> String {
    format!("{}={}", encoded(column), value.map_or_else(|| NULL.to_owned(), encoded))
}

/// A name or value as part of a folder's name: what a path can't hold, and what reads as something else, as `%` and its
/// code.
fn encoded(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || "\"#%'*/:=?\\{}[]^<>|".contains(letter) {
            let mut bytes = [0; 4];
            letter.encode_utf8(&mut bytes).bytes().for_each(|byte| all.push_str(&format!("%{byte:02X}")));
        } else {
            all.push(letter);
        }
    }
    all
}

/// The partition columns of one file: names with values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partitions(Arc<[(String, Option<String>)]>);

impl Partitions {
    /// Those that the folders of a path tell.
    pub(super) fn of_path(path: &Path) -> Self {
        let folders = path.parent().into_iter().flat_map(Path::components);
        let folders = folders.filter_map(|folder| folder.as_os_str().to_str()?.split_once('='));
        let decoded = |text: &str| percent_decoded(text).unwrap_or_else(|| text.to_owned());
        let mut found: Vec<(String, Option<String>)> = Vec::new();
        for (name, value) in folders.filter(|(name, _)| !name.is_empty()) {
            let (name, value) = (decoded(name), Some(decoded(value)));
            found.retain(|(known, _)| *known != name);
            found.push((name, value.filter(|value| !value.is_empty() && value != NULL)));
        }
        Self(found.into())
    }

    /// Those that the log of a table tells.
    pub(super) fn of_log(values: HashMap<String, Option<String>>) -> Self {
        let mut all: Vec<_> =
            values.into_iter().map(|(name, value)| (name, value.filter(|value| !value.is_empty()))).collect();
        all.sort();
        Self(all.into())
    }

    /// The value of a partition column; `None`: there is no such column.
    pub fn get(&self, column: &str) -> Option<Option<&str>> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_deref())
    }

    /// The names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The identity of content in these partitions: equal files in two folders hold different rows.
    pub(super) fn identity(&self, content: blake3::Hash) -> String {
        if self.0.is_empty() {
            return content.to_hex().to_string();
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(content.as_bytes());
        for (name, value) in self.0.iter() {
            for part in [Some(name), value.as_ref()] {
                hasher.update(&part.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
                hasher.update(part.map_or(&[], |text| text.as_bytes()));
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what is written is read back, whatever letters it has.
    #[test]
    fn names_of_folders() {
        for text in ["CH", "a/b=c %2F", "Zürich\n", "2026-01-01T00:00:00Z", "{x}[y]"] {
            let name = folder_name(text, Some(text));
            assert!(!name.contains(['/', ':']) && name.matches('=').count() == 1, "{name}");
            let found = Partitions::of_path(&Path::new("/a").join(name).join("part.parquet"));
            assert_eq!(found.get(text), Some(Some(text)));
        }
        let found = Partitions::of_path(&Path::new(&folder_name("a", None)).join("part.parquet"));
        assert_eq!(found.get("a"), Some(None));
    }

    /// Goal: folders that read `name=value` are columns, decoded; the file's own name is none.
    #[test]
    fn folders_are_columns() {
        let found = Partitions::of_path(Path::new(
            "/a/x=1/city=Z%C3%BCrich%2FN/n=__HIVE_DEFAULT_PARTITION__/x=2=3/e=/=v/q=9.csv",
        ));
        let expected = [("city", Some("Zürich/N")), ("n", None), ("x", Some("2=3")), ("e", None)];
        assert_eq!(found.names().map(|name| (name, found.get(name).unwrap())).collect::<Vec<_>>(), expected);
        assert_eq!(found.get("q"), None);
    }

    /// Goal: equal content in two partitions is two inputs, and outside of partitions it is known by itself.
    #[test]
    fn partitions_are_part_of_the_identity() {
        let content = blake3::hash(b"rows");
        let identity = |path: &str| Partitions::of_path(Path::new(path)).identity(content);
        assert_eq!(identity("/a/b/c.csv"), content.to_hex().to_string());
        let all =
            ["/d=1/c", "/d=2/c", "/d=__HIVE_DEFAULT_PARTITION__/c", "/d=1/e=1/c", "/e=1/c"].map(identity);
        let distinct: std::collections::HashSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
