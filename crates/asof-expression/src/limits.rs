//! The bounds of an expression. Whatever the text, reading and evaluating it takes bounded stack and memory.

/// The longest text of an expression, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The most operators, names and parentheses of an expression: tokens other than literals and commas. A chain of
/// that many operators is also the deepest tree that the SQL parser can build.
pub const TOKENS_MAX: usize = 2_000;

/// The most levels of nesting. A chain of `and`, of `or` or of `||` is one level; a chain of `+` has one a sign.
pub const DEPTH_MAX: usize = 128;

/// The most levels of parentheses and calls that the SQL parser follows.
pub(crate) const PARSER_DEPTH_MAX: usize = 256;

/// The stack on which texts are read and typed, in bytes: enough for the deepest syntax that [`TOKENS_MAX`] allows. It is
/// taken anew where the thread has less left.
pub const READING_STACK_BYTES: usize = 32 * 1024 * 1024;

/// The most steps that the parser takes for one text, each an operand that it tries to read.
pub const PARSER_STEPS_MAX: usize = 200_000;

/// The longest text that a function which lengthens its input may give, in bytes: `repeat`, `lpad`, `rpad`,
/// `replace`, `regexp_replace`. Longer is ERROR.
pub const GROWN_TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The most elements that a function which lengthens a list may give. More is ERROR.
pub const GROWN_LIST_ELEMENTS_MAX: usize = 1024 * 1024;

/// The largest compiled form of a regular expression, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024 * 1024;
