//! Decides, never does.
