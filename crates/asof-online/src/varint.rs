//! Numbers of variable length: seven bits to a byte, the lowest first. Those with a sign fold it into the lowest bit.

use crate::error::OnlineError;
use crate::fields::Fields;

/// Writes a number.
pub(crate) fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a number with a sign.
pub(crate) fn signed(out: &mut Vec<u8>, value: i64) {
    number(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Bytes that are read from the front.
pub(crate) struct Input<'b> {
    pub(crate) fields: Fields<'b>,
    at: usize,
}

impl<'b> Input<'b> {
    pub(crate) fn new(what: &'static str, bytes: &'b [u8]) -> Self {
        Self { fields: Fields::new(what, bytes), at: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.fields.bytes.len()
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'b [u8] {
        self.fields.bytes.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, OnlineError> {
        let byte = self.fields.u8(self.at)?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn slice(&mut self, length: usize) -> Result<&'b [u8], OnlineError> {
        let end = self.at.saturating_add(length);
        let slice = self.fields.slice(self.at, end)?;
        self.at = end;
        Ok(slice)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], OnlineError> {
        let array = self.fields.array(self.at)?;
        self.at += N;
        Ok(array)
    }

    pub(crate) fn number(&mut self) -> Result<u64, OnlineError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.fields.damaged("a number in it has no end"))
    }

    /// A number that counts things in memory.
    pub(crate) fn size(&mut self) -> Result<usize, OnlineError> {
        usize::try_from(self.number()?).map_err(|_| self.fields.damaged("a number in it is too large"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, OnlineError> {
        let folded = self.number()?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }
}
