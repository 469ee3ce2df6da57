//! How large a head may be.

/// The bounds of one head. Every one of them exists so that a peer cannot make us hold memory that it chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, start line and final empty line included.
    pub bytes: usize,
    /// Bytes of the request target.
    pub target: usize,
    /// Number of header fields; at most [`MAX_FIELDS`].
    pub fields: usize,
}

/// The most header fields that any configuration can allow: the parser's table of them lives on the stack.
pub const MAX_FIELDS: usize = 256;

/// Longest method that is taken. The longest registered one, `UPDATEREDIRECTREF`, has 17 letters.
pub const MAX_METHOD: usize = 32;

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 32 * 1024, target: 8 * 1024, fields: 100 }
    }
}
