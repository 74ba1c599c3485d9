//! From text to SQL syntax, within bounds, and from the parser's positions to places in the text.

use asof_model::name;
use sqlparser::ast::Expr;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::dialect::SqlDialect;
use crate::error::{ExpressionError, Place, Problem};
use crate::limits::{DEPTH_MAX, PARSER_DEPTH_MAX, TEXT_BYTES_MAX, TOKENS_MAX};

/// Checks that a text keeps the bounds of [`crate::limits`], so that parsing it takes bounded stack: for whoever
/// parses whole SQL statements and hands their expressions on.
///
/// # Errors
/// [`Problem::TooLong`], and [`Problem::Syntax`] where the text is not made of SQL's words and signs.
pub fn check_bounds(text: &str) -> Result<(), ExpressionError> {
    tokens(text).map(drop)
}

/// The SQL syntax of a text that is one expression.
///
/// # Errors
/// [`Problem::TooLong`], and [`Problem::Syntax`] with its place.
pub fn expression(text: &str) -> Result<Expr, ExpressionError> {
    let tokens = tokens(text)?;
    let end = tokens.iter().rev().find(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    let end = end.map_or(Span::empty(), |token| token.span);
    let dialect = SqlDialect::new();
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(PARSER_DEPTH_MAX).with_tokens_with_locations(tokens);
    let expr = match parser.parse_expr() {
        Ok(expr) => expr,
        Err(_) if dialect.is_exhausted() => return Err(too_deep()),
        Err(error) => return Err(parser_error(text, error, end)),
    };
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        let problem = Problem::Syntax(format!("`{}` is not expected here", rest.token));
        let hint = word_hint(&rest);
        return Err(ExpressionError::new(problem, place(text, rest.span), hint));
    }
    Ok(expr)
}

fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, ExpressionError> {
    let too_long = |what, found, most| {
        let hint = "split it: a transform of the source can compute a part";
        ExpressionError::new(Problem::TooLong { what, found, most }, None, Some(hint.to_owned()))
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(too_long("bytes", text.len(), TEXT_BYTES_MAX));
    }
    let dialect = SqlDialect::new();
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| {
        let problem = Problem::Syntax(lower_first(&error.message));
        ExpressionError::new(problem, place(text, Span::new(error.location, error.location)), None)
    })?;
    let counted = tokens.iter().filter(|token| {
        !matches!(
            token.token,
            Token::Whitespace(_)
                | Token::Comma
                | Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::EOF
        )
    });
    match counted.count() {
        count if count > TOKENS_MAX => Err(too_long("operators and names", count, TOKENS_MAX)),
        _ => Ok(tokens),
    }
}

/// The parser's message without its position, which becomes the place.
fn parser_error(text: &str, error: ParserError, end: Span) -> ExpressionError {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return too_deep();
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (words, at) = match message.rsplit_once(" at Line: ") {
        Some((words, at)) => (words.to_owned(), Some(at)),
        None => (message.clone(), None),
    };
    let location = at.and_then(|at| {
        let (line, column) = at.split_once(", Column: ")?;
        Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
    });
    let words = words.replace("Expected: ", "expected ").replace("found: EOF", "found its end");
    let span = location.map_or(end, |location| Span::new(location, location));
    ExpressionError::new(Problem::Syntax(lower_first(&words)), place(text, span), None)
}

fn too_deep() -> ExpressionError {
    ExpressionError::new(Problem::TooDeep(DEPTH_MAX), None, None)
}

/// For a word that follows a complete expression: an operator may have been meant.
fn word_hint(token: &TokenWithSpan) -> Option<String> {
    match &token.token {
        Token::Word(word) => {
            let known = ["and", "or", "is", "in", "like", "between", "not"];
            name::nearest(&word.value, known).map(|near| format!("did you mean `{near}`?"))
        }
        Token::DoubleEq => Some("equality is `=`".to_owned()),
        _ => None,
    }
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// Where a span of the parser lies in the text. `None` for what has no position.
pub(crate) fn place(text: &str, span: Span) -> Option<Place> {
    if span.start.line == 0 {
        return None;
    }
    let start = offset(text, span.start)?;
    let end = offset(text, span.end).unwrap_or(text.len()).max(start);
    Some(Place { start, end, line: short(span.start.line), column: short(span.start.column) })
}

/// The byte at which a line and column begin; a column behind the end of its line is that end.
fn offset(text: &str, location: Location) -> Option<usize> {
    let line = usize::try_from(location.line.checked_sub(1)?).ok()?;
    let column = usize::try_from(location.column.checked_sub(1)?).ok()?;
    let start = match line {
        0 => 0,
        line => text.match_indices('\n').nth(line - 1)?.0 + 1,
    };
    let rest = text.get(start..)?;
    let rest = rest.split('\n').next().unwrap_or(rest);
    Some(start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
}

fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
