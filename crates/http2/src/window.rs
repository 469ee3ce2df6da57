//! Flow-control windows: RFC 9113 section 6.9.

/// What every window is until it is said otherwise.
pub(crate) const DEFAULT: u32 = 65_535;

/// What no window may exceed.
pub(crate) const MAX: i64 = (1 << 31) - 1;

/// What one side may still send. It can be below zero: after a setting that makes windows smaller (section 6.9.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window(i64);

/// A window beyond [`MAX`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Overflow;

impl Window {
    pub(crate) fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    /// Bytes that may be sent.
    #[inline]
    pub(crate) fn room(self) -> usize {
        usize::try_from(self.0.max(0)).unwrap_or(0)
    }

    #[inline]
    pub(crate) fn size(self) -> i64 {
        self.0
    }

    /// Uses some of it up; the caller has looked whether there is enough.
    #[inline]
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.0 -= i64::try_from(bytes).unwrap_or(MAX);
    }

    /// Moves it by an update or by the difference of two settings.
    #[inline]
    pub(crate) fn shift(&mut self, by: i64) -> Result<(), Overflow> {
        let size = self.0 + by;
        if size > MAX {
            return Err(Overflow);
        }
        self.0 = size;
        Ok(())
    }
}
