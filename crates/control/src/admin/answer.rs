//! The two shapes of an answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// `{"success": true, "data": …}`
#[derive(Serialize)]
struct Success<'a, Data> {
    success: bool,
    data: &'a Data,
}

/// `{"success": false, "error": {"code", "message", "issues"}}`
#[derive(Serialize)]
struct Failure<'a> {
    success: bool,
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: &'a str,
    message: &'a str,
    /// What is wrong with a configuration that was sent; nothing takes one in this version.
    issues: [(); 0],
}

pub(super) fn succeeded(data: &impl Serialize) -> Response {
    Json(Success { success: true, data }).into_response()
}

pub(super) fn failed(status: StatusCode, code: &str, message: &str) -> Response {
    let error = Error { code, message, issues: [] };
    (status, Json(Failure { success: false, error })).into_response()
}
