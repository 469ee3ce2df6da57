//! The two shapes of an answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

/// `{"success": true, "data": …}`
pub(super) fn succeeded(data: &impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Success<'a, Data> {
        success: bool,
        data: &'a Data,
    }
    Json(Success { success: true, data }).into_response()
}

/// `{"success": false, "error": {"code", "message", "issues": []}}`
pub(super) fn failed(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"success": false, "error": {"code": code, "message": message, "issues": []}});
    (status, Json(body)).into_response()
}
