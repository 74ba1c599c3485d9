//! The canonical text of an expression: one for all spellings that differ in spaces, letter case and parentheses.
//! It reads back as an expression with the same text.

use std::fmt;

use sqlparser::keywords::ALL_KEYWORDS;

use crate::node::{Kind, Node};

/// A node with the names of the columns.
pub(crate) struct Canonical<'a> {
    pub node: &'a Node,
    /// As [`name`] gives them.
    pub columns: &'a [String],
}

impl fmt::Display for Canonical<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(out, self.node, self.columns)
    }
}

fn write(out: &mut fmt::Formatter<'_>, node: &Node, columns: &[String]) -> fmt::Result {
    match &node.kind {
        Kind::Literal { written, .. } => out.write_str(written),
        Kind::Column(number) => out.write_str(columns.get(*number).map_or("", String::as_str)),
        Kind::RequestTimestamp => out.write_str("request_timestamp()"),
        Kind::And(parts) => write_infix(out, " and ", parts, columns),
        Kind::Or(parts) => write_infix(out, " or ", parts, columns),
        Kind::IsNull { operand, negated } => {
            out.write_str("(")?;
            write(out, operand, columns)?;
            out.write_str(if *negated { " is not null)" } else { " is null)" })
        }
        Kind::Coalesce(parts) => write_call(out, "coalesce", parts, columns),
        Kind::Case { operand, arms, otherwise } => {
            out.write_str("case")?;
            if let Some(operand) = operand {
                out.write_str(" ")?;
                write(out, operand, columns)?;
            }
            for (condition, result) in arms {
                out.write_str(" when ")?;
                write(out, condition, columns)?;
                out.write_str(" then ")?;
                write(out, result, columns)?;
            }
            if let Some(otherwise) = otherwise {
                out.write_str(" else ")?;
                write(out, otherwise, columns)?;
            }
            out.write_str(" end")
        }
        Kind::Between { operand, low, high, negated } => {
            out.write_str("(")?;
            write(out, operand, columns)?;
            out.write_str(if *negated { " not between " } else { " between " })?;
            write(out, low, columns)?;
            out.write_str(" and ")?;
            write(out, high, columns)?;
            out.write_str(")")
        }
        Kind::In { operand, list, negated } => {
            out.write_str("(")?;
            write(out, operand, columns)?;
            out.write_str(if *negated { " not in (" } else { " in (" })?;
            write_list(out, ", ", list, columns)?;
            out.write_str("))")
        }
        Kind::Cast { operand, written: false, .. } => write(out, operand, columns),
        Kind::Cast { operand, attempt, .. } => {
            out.write_str(if *attempt { "try_cast(" } else { "cast(" })?;
            write(out, operand, columns)?;
            write!(out, " as {})", node.value_type)
        }
        Kind::Call { function, arguments, .. } => match (function.name, arguments.as_slice()) {
            ("not", [operand]) => write_prefix(out, "not ", operand, columns),
            ("negate", [operand]) => write_prefix(out, "- ", operand, columns),
            ("array", items) => {
                out.write_str("array[")?;
                write_list(out, ", ", items, columns)?;
                out.write_str("]")
            }
            ("[]", [value, index]) => {
                out.write_str("(")?;
                write(out, value, columns)?;
                out.write_str(")[")?;
                write(out, index, columns)?;
                out.write_str("]")
            }
            ("+ interval", [instant, interval]) => {
                out.write_str("(")?;
                write(out, instant, columns)?;
                out.write_str(" + interval ")?;
                write(out, interval, columns)?;
                out.write_str(")")
            }
            ("||", parts) => write_infix(out, " || ", parts, columns),
            (name, [_, _]) if !name.starts_with(|first: char| first.is_ascii_alphabetic()) => {
                write_infix(out, &format!(" {name} "), arguments, columns)
            }
            ("is distinct from", [_, _]) => write_infix(out, " is distinct from ", arguments, columns),
            ("like" | "ilike", [_, _]) => {
                write_infix(out, &format!(" {} ", function.name), arguments, columns)
            }
            ("like" | "ilike", [value, pattern, escape]) => {
                out.write_str("(")?;
                write(out, value, columns)?;
                write!(out, " {} ", function.name)?;
                write(out, pattern, columns)?;
                out.write_str(" escape ")?;
                write(out, escape, columns)?;
                out.write_str(")")
            }
            (name, arguments) => write_call(out, name, arguments, columns),
        },
    }
}

fn write_prefix(out: &mut fmt::Formatter<'_>, sign: &str, operand: &Node, columns: &[String]) -> fmt::Result {
    write!(out, "({sign}")?;
    write(out, operand, columns)?;
    out.write_str(")")
}

fn write_call(
    out: &mut fmt::Formatter<'_>,
    name: &str,
    arguments: &[Node],
    columns: &[String],
) -> fmt::Result {
    write!(out, "{name}(")?;
    write_list(out, ", ", arguments, columns)?;
    out.write_str(")")
}

fn write_infix(out: &mut fmt::Formatter<'_>, sign: &str, parts: &[Node], columns: &[String]) -> fmt::Result {
    out.write_str("(")?;
    write_list(out, sign, parts, columns)?;
    out.write_str(")")
}

fn write_list(
    out: &mut fmt::Formatter<'_>,
    between: &str,
    parts: &[Node],
    columns: &[String],
) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            out.write_str(between)?;
        }
        write(out, part, columns)?;
    }
    Ok(())
}

/// The name of a column, with its qualifier where it has one.
pub(crate) fn name(qualifier: Option<&str>, name: &str) -> String {
    match qualifier {
        Some(qualifier) => format!("{}.{}", word(qualifier), word(name)),
        None => word(name),
    }
}

/// In double quotes, unless it is a plain lower-case word that SQL has no use for.
fn word(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && ALL_KEYWORDS.binary_search(&name.to_ascii_uppercase().as_str()).is_err();
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
