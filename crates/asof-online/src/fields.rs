//! Fixed-width fields out of stored bytes, with every bound checked: damaged bytes are an error, never a panic.

use asof_model::Instant;

use crate::error::OnlineError;

/// The bytes of one stored thing, with its name for messages.
#[derive(Clone, Copy)]
pub struct Fields<'b> {
    /// Its name for messages.
    pub what: &'static str,
    /// Its bytes.
    pub bytes: &'b [u8],
}

impl<'b> Fields<'b> {
    /// Those bytes, under that name.
    pub fn new(what: &'static str, bytes: &'b [u8]) -> Self {
        Self { what, bytes }
    }

    /// The error that says what is wrong.
    pub fn damaged(&self, problem: &'static str) -> OnlineError {
        OnlineError::Damaged { what: self.what, problem }
    }

    /// So many bytes from a place on.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`] past the end.
    #[inline]
    pub fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], OnlineError> {
        self.bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .copied()
            .ok_or_else(|| self.damaged("it ends too early"))
    }

    /// The bytes between two places, as [`Self::array`].
    #[inline]
    pub fn slice(&self, from: usize, to: usize) -> Result<&'b [u8], OnlineError> {
        self.bytes.get(from..to).ok_or_else(|| self.damaged("a length points outside of it"))
    }

    /// A byte, as [`Self::array`].
    #[inline]
    pub fn u8(&self, at: usize) -> Result<u8, OnlineError> {
        Ok(u8::from_le_bytes(self.array(at)?))
    }

    /// Two bytes, little-endian, as [`Self::array`].
    #[inline]
    pub fn u16(&self, at: usize) -> Result<u16, OnlineError> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    /// Four bytes, little-endian, as [`Self::array`].
    #[inline]
    pub fn u32(&self, at: usize) -> Result<u32, OnlineError> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    /// Eight bytes, little-endian, as [`Self::array`].
    #[inline]
    pub fn u64(&self, at: usize) -> Result<u64, OnlineError> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    /// An instant in microseconds, as [`Self::array`]; also refused outside the years 1 to 9999.
    #[inline]
    pub fn instant(&self, at: usize) -> Result<Instant, OnlineError> {
        Instant::from_micros(i64::from_le_bytes(self.array(at)?))
            .ok_or_else(|| self.damaged("an instant lies outside the years 1 to 9999"))
    }

    /// The version in the first byte, if it is one that this program reads.
    #[inline]
    pub fn check_version(&self, newest: u8) -> Result<(), OnlineError> {
        match self.u8(0)? {
            0 => Err(self.damaged("its version is 0")),
            found if found > newest => Err(OnlineError::UnknownVersion { what: self.what, found, newest }),
            _ => Ok(()),
        }
    }
}
