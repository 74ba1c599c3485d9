//! Lines of tables: cut into cells, and written with aligned columns.

/// A line without its comment, and the comment from its `#` on.
pub(super) fn split_comment(line: &str) -> (&str, Option<&str>) {
    let mut quoted = false;
    let mut escaped = false;
    let mut after_space = true;
    for (at, each) in line.char_indices() {
        match each {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted && after_space => return (line[..at].trim_end(), Some(line[at..].trim_end())),
            _ => {}
        }
        after_space = each.is_whitespace();
    }
    (line.trim_end(), None)
}

/// The cells of a table line: what stands between its `|`, trimmed.
pub(super) fn split_cells(line: &str) -> Vec<&str> {
    let mut cells = Vec::new();
    let (mut quoted, mut escaped, mut from) = (false, false, 0);
    for (at, each) in line.char_indices() {
        match each {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '|' if !quoted => {
                cells.push(line[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    cells.push(line[from..].trim());
    cells
}

/// The lines of a table, columns and comments aligned. Every row has as many cells as the first.
pub(super) fn align(rows: &[(Vec<String>, Option<String>)]) -> Vec<String> {
    let columns = rows.iter().map(|(cells, _)| cells.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|(cells, _)| cells.get(column))
                .map(|c| c.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    rows.iter()
        .map(|(cells, comment)| {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let line = format!("  {}  {}", padded.join(" | "), comment.as_deref().unwrap_or_default());
            line.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: bars and hashes inside quotes belong to the text.
    #[test]
    fn quotes_protect_their_text() {
        let (line, comment) = split_comment(r##"  "a|# \" |" | b#c | d  # said "so" | twice"##);
        assert_eq!(comment, Some(r##"# said "so" | twice"##));
        assert_eq!(split_cells(line), [r##""a|# \" |""##, "b#c", "d"]);
        assert_eq!(split_comment("# all of it"), ("", Some("# all of it")));
    }
}
