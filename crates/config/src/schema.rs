//! The JSON Schema of the file, generated from types that mirror its keys.
//!
//! The types are never parsed into: an editor stops at the first problem of a value, the checker must not.
//! They take their defaults from the model and their limits from `bounds`, and a test holds their keys
//! against `shape`. What a schema cannot say (binds that overlap, routes without a pool) stays with the
//! checker, so whatever the checker accepts the schema accepts, not the other way round.

mod access_log;
mod file;
mod healing;
mod operators;
mod pool;
mod tls;
mod words;

use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of `config.json`.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<file::Configuration>().to_value()
}

#[cfg(test)]
mod tests;
