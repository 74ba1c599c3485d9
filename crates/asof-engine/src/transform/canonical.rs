//! One spelling of a query: spaces, letter case and comments don't count.

use sqlparser::ast;

/// The text of a query in one spelling: what the parser prints, in lower case but for what is quoted.
pub(crate) fn text(query: &ast::Query) -> String {
    lower_case(&query.to_string())
}

fn lower_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote: Option<char> = None;
    for letter in text.chars() {
        match quote {
            Some(open) => {
                // A doubled quote closes and opens again.
                if letter == open {
                    quote = None;
                }
                out.push(letter);
            }
            None => {
                if matches!(letter, '\'' | '"' | '`') {
                    quote = Some(letter);
                }
                out.extend(letter.to_lowercase());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::syntax;

    /// Goal: spellings of one query have one text, and a change of what it says changes the text.
    #[test]
    fn spellings() {
        let text_of = |sql: &str| text(&syntax::statement(sql).unwrap());
        let one = text_of("SELECT *,  A+1 As b -- a comment\n FROM Source where x='It''s' ");
        assert_eq!(one, text_of("select *, a + 1 AS B from source\nWHERE x = 'It''s'"));
        assert_eq!(one, "select *, a + 1 as b from source where x = 'It''s'");
        for other in [
            "select *, a + 1 as b from source where x = 'it''s'",
            "select *, a + 1 as c from source where x = 'It''s'",
            "select *, \"A\" + 1 as b from source where x = 'It''s'",
        ] {
            assert_ne!(text_of(other), one);
        }
    }
}
