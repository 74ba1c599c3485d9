//! Calls of functions by name, and the SQL forms that are calls in other words.

use asof_model::name;
use sqlparser::ast::{
    CeilFloorKind, DateTimeField, Expr, Function as SqlFunction, FunctionArg, FunctionArgExpr,
    FunctionArguments, Spanned, TrimWhereField,
};
use sqlparser::tokenizer::Span;

use super::literal::{Literal, Typed};
use super::{Result, Typer};
use crate::arithmetic::Arithmetic;
use crate::error::{ExpressionError, Problem};
use crate::function::{Body, Fast, Function, RowFunction};
use crate::functions::{self, Meaning};
use crate::node::{Kind, Node};

impl Typer<'_> {
    pub(super) fn function(&mut self, function: &SqlFunction) -> Result<Typed> {
        let span = function.span();
        let written = function.name.to_string();
        let name = written.to_ascii_lowercase();
        if function.over.is_some() {
            let problem =
                Problem::Unsupported { what: format!("`{name}(...) over ...`, a window function,") };
            return Err(self.error(span, problem, Some(functions::NOT_ROW_WISE_HINT.to_owned())));
        }
        if let Meaning::Refused { reason, hint } = functions::meaning(&name) {
            let hint = match hint {
                Some(hint)
                    if self.scope.allows_request_timestamp() || !hint.contains("request_timestamp") =>
                {
                    Some(hint.to_owned())
                }
                _ => None,
            };
            return Err(self.error(span, Problem::Refused { name, reason }, hint));
        }
        let plain = function.filter.is_none()
            && function.null_treatment.is_none()
            && function.within_group.is_empty()
            && !function.uses_odbc_syntax
            && matches!(function.parameters, FunctionArguments::None);
        let list = match &function.args {
            FunctionArguments::None => &[][..],
            FunctionArguments::List(list)
                if list.duplicate_treatment.is_none() && list.clauses.is_empty() =>
            {
                &list.args
            }
            _ => return Err(self.unsupported(format!("this form of `{name}(...)`"), span)),
        };
        if !plain {
            return Err(self.unsupported(format!("this form of `{name}(...)`"), span));
        }
        let mut arguments = Vec::with_capacity(list.len());
        for argument in list {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => arguments.push(self.expression(expr)?),
                _ => return Err(self.unsupported(format!("this form of argument of `{name}`"), span)),
            }
        }
        self.call_by_name(&name, arguments, span)
    }

    /// A call of what the table has under that name.
    pub(super) fn named_call(&mut self, name: &str, arguments: Vec<Typed>) -> Result<Typed> {
        let span = Span::union_iter(arguments.iter().map(|argument| argument.span));
        self.call_by_name(name, arguments, span)
    }

    fn call_by_name(&mut self, name: &str, arguments: Vec<Typed>, span: Span) -> Result<Typed> {
        let Some(function) = functions::find(name) else {
            let hint = name::suggestion(name, functions::names());
            return Err(self.error(span, Problem::UnknownFunction { name: name.to_owned() }, hint));
        };
        match function.name {
            "coalesce" => return self.coalesce(arguments, span),
            "if" => return self.if_call(arguments, span),
            "%" => {
                return match <[Typed; 2]>::try_from(arguments) {
                    Ok([left, right]) => self.arithmetic(Arithmetic::Modulo, left, right),
                    Err(arguments) => Err(self.wrong_arguments(function, &arguments, span)),
                };
            }
            "request_timestamp" => return self.request_timestamp(&arguments, span),
            _ => {}
        }
        let signatures = functions::signatures(function);
        let matched = [true, false]
            .into_iter()
            .flat_map(|exact| signatures.iter().map(move |signature| (exact, signature)))
            .find_map(|(exact, signature)| signature.matches(&arguments, exact));
        let Some(matched) = matched else { return Err(self.wrong_arguments(function, &arguments, span)) };
        let places: Vec<Span> = arguments.iter().map(|argument| argument.span).collect();
        let what = format!("an argument of `{}`", function.name);
        let nodes = arguments.into_iter().zip(&matched.arguments);
        let nodes =
            nodes.map(|(argument, of)| self.coerced(argument, *of, &what)).collect::<Result<Vec<Node>>>()?;
        let value_type = matched.result;
        let (row, fast) = match function.body {
            Body::Plain(run) => (RowFunction::plain(run, false), None),
            Body::Nulls(run) => (RowFunction::plain(run, true), None),
            Body::Float(run) => (RowFunction::float(run), Some(Fast::Float(run))),
            Body::Floats(run) => (RowFunction::floats(run), Some(Fast::Floats(run))),
            Body::Built(build) => match build(&nodes) {
                Ok(built) => (built.row, None),
                Err(refusal) => {
                    let place = places.get(refusal.argument).copied().unwrap_or(span);
                    let text = nodes.get(refusal.argument).map(literal_text).unwrap_or_default();
                    return Err(self.error(
                        place,
                        Problem::Literal { text, expected: refusal.expected },
                        None,
                    ));
                }
            },
            Body::Syntax => return Err(self.unsupported(format!("`{}` as a function", function.name), span)),
        };
        let kind = Kind::Call { function, row, fast, arguments: nodes };
        Ok(Typed::node(Node::new(kind, value_type, !function.error.is_empty()), span))
    }

    fn request_timestamp(&self, arguments: &[Typed], span: Span) -> Result<Typed> {
        let function = &functions::time::REQUEST_TIMESTAMP;
        if !arguments.is_empty() {
            return Err(self.wrong_arguments(function, arguments, span));
        }
        if !self.scope.allows_request_timestamp() {
            let reason = "a source's rows are the same whenever they are read";
            let problem = Problem::Refused { name: function.name.to_owned(), reason };
            let hint = "only features on demand know the instant of a request";
            return Err(self.error(span, problem, Some(hint.to_owned())));
        }
        let node = Node::new(Kind::RequestTimestamp, asof_model::ValueType::Timestamp, false);
        Ok(Typed::node(node, span))
    }

    pub(super) fn wrong_arguments(
        &self,
        function: &Function,
        arguments: &[Typed],
        span: Span,
    ) -> ExpressionError {
        let types: Vec<String> = arguments.iter().map(Typed::type_text).collect();
        let found =
            if types.is_empty() { "no arguments".to_owned() } else { format!("({})", types.join(", ")) };
        let takes: Vec<String> =
            function.signatures.iter().map(|signature| format!("`{}`", function.usage(signature))).collect();
        let problem = Problem::Arguments { function: function.name.to_owned(), found };
        self.error(span, problem, Some(format!("there is {}", takes.join(", "))))
    }

    pub(super) fn extract(&mut self, field: &DateTimeField, operand: &Expr, span: Span) -> Result<Typed> {
        let field = field.to_string().to_lowercase();
        let field = Typed::literal(Literal::Text(field.trim_matches('\'').to_owned()), span);
        let operand = self.expression(operand)?;
        self.call_by_name("date_part", vec![field, operand], span)
    }

    /// `floor` and `ceil`, which the parser reads as forms of their own.
    pub(super) fn rounding(
        &mut self,
        name: &str,
        operand: &Expr,
        field: &CeilFloorKind,
        span: Span,
    ) -> Result<Typed> {
        if !matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime)) {
            return Err(self.unsupported(format!("`{name}` with a unit or a number of digits"), span));
        }
        let operand = self.expression(operand)?;
        self.call_by_name(name, vec![operand], span)
    }

    pub(super) fn position(&mut self, part: &Expr, whole: &Expr, span: Span) -> Result<Typed> {
        let arguments = vec![self.expression(whole)?, self.expression(part)?];
        self.call_by_name("strpos", arguments, span)
    }

    pub(super) fn substring(
        &mut self,
        operand: &Expr,
        from: Option<&Expr>,
        count: Option<&Expr>,
        span: Span,
    ) -> Result<Typed> {
        let mut arguments = vec![self.expression(operand)?];
        match (from, count) {
            (None, Some(_)) => arguments.push(Typed::literal(Literal::Integer("1".to_owned()), span)),
            (Some(from), _) => arguments.push(self.expression(from)?),
            (None, None) => {}
        }
        if let Some(count) = count {
            arguments.push(self.expression(count)?);
        }
        self.call_by_name("substr", arguments, span)
    }

    pub(super) fn trim(
        &mut self,
        operand: &Expr,
        side: Option<TrimWhereField>,
        what: Option<&Expr>,
        characters: Option<&[Expr]>,
        span: Span,
    ) -> Result<Typed> {
        let name = match side {
            None | Some(TrimWhereField::Both) => "trim",
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
        };
        let mut arguments = vec![self.expression(operand)?];
        for extra in what.into_iter().chain(characters.into_iter().flatten()) {
            arguments.push(self.expression(extra)?);
        }
        self.call_by_name(name, arguments, span)
    }
}

/// A literal argument as it was written.
fn literal_text(node: &Node) -> String {
    match &node.kind {
        Kind::Literal { written, .. } => written.to_string(),
        _ => "this argument".to_owned(),
    }
}
