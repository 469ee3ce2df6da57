//! Moves requests.
