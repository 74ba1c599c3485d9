//! A message as its bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{
    DecodeContext, WireType, bytes as length_delimited, fixed32, fixed64, skip_field, uint64,
};
use prost::{DecodeError, Message};

/// A message that is encoded already. It is sent as it is; received, it keeps its fields as they came, unread.
///
/// Whoever makes one says that the bytes are a message of the type that the method answers with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded(Bytes);

impl Encoded {
    /// Of the bytes of a message.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Message for Encoded {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        // Nobody else holds the bytes while they are decoded, so they grow in place.
        let taken = std::mem::take(&mut self.0);
        let mut all = taken.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let merged = merge(&mut all, tag, wire_type, buf, context);
        self.0 = all.freeze();
        merged
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Reads one field and writes it to `all`.
fn merge(
    all: &mut BytesMut,
    tag: u32,
    wire_type: WireType,
    buf: &mut impl Buf,
    context: DecodeContext,
) -> Result<(), DecodeError> {
    match wire_type {
        WireType::Varint => {
            let mut value = 0;
            uint64::merge(wire_type, &mut value, buf, context)?;
            uint64::encode(tag, &value, all);
        }
        WireType::ThirtyTwoBit => {
            let mut value = 0;
            fixed32::merge(wire_type, &mut value, buf, context)?;
            fixed32::encode(tag, &value, all);
        }
        WireType::SixtyFourBit => {
            let mut value = 0;
            fixed64::merge(wire_type, &mut value, buf, context)?;
            fixed64::encode(tag, &value, all);
        }
        WireType::LengthDelimited => {
            let mut value = Bytes::new();
            length_delimited::merge(wire_type, &mut value, buf, context)?;
            length_delimited::encode(tag, &value, all);
        }
        // No message here has groups: an unknown field, left out as any message leaves it out.
        WireType::StartGroup | WireType::EndGroup => skip_field(wire_type, tag, buf, context)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::feast::serving::{FeatureList, GetOnlineFeaturesRequest};
    use crate::messages::feast::types::{RepeatedValue, Value, value::Val};

    /// Goal: what is decoded and encoded again is the message that came, field by field, and a broken one is refused.
    #[test]
    fn passes_on() {
        let values =
            [Val::DoubleVal(0.5), Val::FloatVal(0.25), Val::Int64Val(-7), Val::StringVal("x".to_owned())];
        let val = values.into_iter().map(|val| Value { val: Some(val) }).collect();
        let request = GetOnlineFeaturesRequest {
            entities: [("driver_id".to_owned(), RepeatedValue { val })].into(),
            full_feature_names: true,
            kind: Some(crate::messages::feast::serving::get_online_features_request::Kind::Features(
                FeatureList { val: vec!["trips:count".to_owned()] },
            )),
            ..Default::default()
        };
        let bytes = request.encode_to_vec();
        let encoded = Encoded::decode(bytes.as_slice()).unwrap();
        assert_eq!(encoded.encoded_len(), bytes.len());
        assert_eq!(GetOnlineFeaturesRequest::decode(encoded.bytes().clone()).unwrap(), request);
        // One field of each wire type at the top.
        let mixed = [0x08, 0x96, 0x01, 0x15, 1, 2, 3, 4, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x22, 2, 9, 9];
        assert_eq!(Encoded::decode(&mixed[..]).unwrap().encode_to_vec(), mixed);
        for length in [2, 5, 12, 20] {
            assert!(Encoded::decode(&mixed[..length]).is_err(), "{length}");
        }
    }
}
