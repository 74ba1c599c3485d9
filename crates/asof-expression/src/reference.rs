//! The reference of expressions as a page, made from the function table.

use crate::function::Function;
use crate::functions::GROUPS;

/// What stands before the table: rules that hold for all of it.
const INTRODUCTION: &str = "\
# Expressions

This page is made from the function table of the code (`UPDATE_DOCS=1 cargo test --workspace` writes it); its examples
are run as tests.

An expression computes one value from the columns of one row. It is written in SQL, and the same code evaluates it when
sources are read, when training sets are made, and when a request is served.

- **Every row has a result**: a value, null, or ERROR. An error in one row never concerns another one, and a result
  never depends on which rows are evaluated together.
- **ERROR passes on**: an operator or function of an ERROR is ERROR, also beside a null. Only `and`, `or`, `case`, `if`,
  `coalesce`, `between` and `in` can do without it: they read from left to right and stop where the result is known.
- **Null passes on** through operators and functions, unless their entry says otherwise.
- **Types are checked when the expression is applied.** By itself int32 becomes int64, both become float64 and decimal,
  float32 becomes float64, a date becomes its midnight in UTC; everything else is a cast. A number literal takes the type
  of the other side where it is exact in it; so does a text literal beside a timestamp, date, uuid or json. Alone, `1` is
  int64, `1.5` is float64 (write `decimal '1.5'` for a decimal), `'x'` is string.
- **Integers don't wrap and decimals don't lose digits**: what does not fit is ERROR. **Floats are IEEE**: `1.0 / 0` is
  `inf`. There is one zero and one NaN; NaN equals itself and is greater than every number.
- **The same bits everywhere**: logarithms, powers and angles come from one portable library. Functions that depend on
  the moment, the machine or chance (`now()`, `random()`) are refused; `request_timestamp()` is the instant of the
  request.
- Names are those of columns, in any letter case where only one fits; in double quotes they are exact. Function names and
  keywords are read in any letter case.

In signatures `any` and `number` stand for one type each; a `literal` argument is a constant.
";

/// The page in Markdown.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for (title, functions) in GROUPS {
        out.push_str(&format!("\n## {title}\n"));
        for function in *functions {
            write_function(&mut out, function);
        }
    }
    out
}

/// The examples of the page: expressions, and their results as text.
pub fn examples() -> impl Iterator<Item = (&'static str, &'static str)> {
    GROUPS
        .iter()
        .flat_map(|(_, functions)| functions.iter())
        .flat_map(|function| function.examples.iter().copied())
}

/// The signatures that cannot be read: always none.
pub fn unreadable_signatures() -> Vec<String> {
    let functions = GROUPS.iter().flat_map(|(_, functions)| functions.iter());
    let called = functions.filter(|function| !matches!(function.body, crate::function::Body::Syntax));
    called
        .flat_map(|function| function.signatures.iter().map(|text| function.usage(text)))
        .filter(|usage| {
            let signature = usage.find('(').and_then(|at| usage.get(at..));
            signature.and_then(crate::signature::Signature::parse).is_none()
        })
        .collect()
}

fn write_function(out: &mut String, function: &Function) {
    out.push_str(&format!("\n### `{}`\n\n", function.name));
    for signature in function.signatures {
        out.push_str(&format!("    {}\n", function.usage(signature)));
    }
    out.push_str(&format!("\n{}", function.gives));
    if !function.aliases.is_empty() {
        let names: Vec<String> = function.aliases.iter().map(|name| format!("`{name}`")).collect();
        out.push_str(&format!(" Other names: {}.", names.join(", ")));
    }
    out.push('\n');
    if !function.error.is_empty() {
        out.push_str(&format!("ERROR: {}.\n", function.error));
    }
    out.push('\n');
    for (expression, result) in function.examples {
        out.push_str(&format!("- `{expression}` is `{result}`\n"));
    }
}
