//! What happened, named once.
