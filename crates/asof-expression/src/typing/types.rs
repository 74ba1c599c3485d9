//! Types as SQL spells them: ours, and the usual other names.

use asof_model::types::{DecimalType, TypeError};
use asof_model::{ValueType, name};
use sqlparser::ast::{DataType, ExactNumberInfo};

use crate::error::Problem;

/// The type that a cast names.
pub(super) fn value_type(of: &DataType) -> Result<ValueType, (Problem, Option<String>)> {
    Ok(match of {
        DataType::Int64 | DataType::BigInt(None) | DataType::Int8(None) => ValueType::Int64,
        DataType::Int32 | DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => {
            ValueType::Int32
        }
        DataType::Float64
        | DataType::Double(ExactNumberInfo::None)
        | DataType::DoublePrecision
        | DataType::Float8 => ValueType::Float64,
        DataType::Float32 | DataType::Real | DataType::Float4 | DataType::Float(ExactNumberInfo::None) => {
            ValueType::Float32
        }
        DataType::String(None)
        | DataType::Text
        | DataType::Varchar(None)
        | DataType::CharacterVarying(None) => ValueType::String,
        DataType::Bool | DataType::Boolean => ValueType::Bool,
        DataType::Bytes(None) | DataType::Bytea | DataType::Blob(None) | DataType::Varbinary(None) => {
            ValueType::Bytes
        }
        DataType::Timestamp(None, _) => ValueType::Timestamp,
        DataType::Date => ValueType::Date,
        DataType::Uuid => ValueType::Uuid,
        DataType::JSON | DataType::JSONB => ValueType::Json,
        DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => return decimal(info),
        other => return named(&other.to_string()),
    })
}

fn decimal(info: &ExactNumberInfo) -> Result<ValueType, (Problem, Option<String>)> {
    let of = match info {
        ExactNumberInfo::None => None,
        ExactNumberInfo::Precision(precision) => {
            u8::try_from(*precision).ok().and_then(|p| DecimalType::new(p, 0))
        }
        ExactNumberInfo::PrecisionAndScale(precision, scale) => u8::try_from(*precision)
            .ok()
            .zip(u8::try_from(*scale).ok())
            .and_then(|(p, s)| DecimalType::new(p, s)),
    };
    of.map(ValueType::Decimal).ok_or_else(|| {
        let hint = "write its digits, and those behind the point, up to 38: `decimal(10, 2)`";
        (Problem::UnknownType { name: format!("decimal{info}") }, Some(hint.to_owned()))
    })
}

fn named(text: &str) -> Result<ValueType, (Problem, Option<String>)> {
    let lower = text.to_ascii_lowercase();
    ValueType::parse(&lower).map_err(|error| {
        let hint = match &error {
            TypeError::Parameters { reason, .. } => Some((*reason).to_owned()),
            TypeError::Unknown(_) => {
                let word = lower.split(['(', '<']).next().unwrap_or_default();
                let known = ValueType::SPELLINGS.map(|each| each.split('(').next().unwrap_or(each));
                name::suggestion(word, known)
            }
        };
        (Problem::UnknownType { name: text.to_owned() }, hint)
    })
}
