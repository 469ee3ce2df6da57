//! What a demo origin answers: a line for curl, a page for a browser.

use axum::extract::Request;
use axum::http::header::ACCEPT;
use axum::response::{Html, IntoResponse, Response};

pub(super) fn answer(name: &str, request: &Request) -> Response {
    let headers = request.headers();
    let count = headers.len();
    let wants_page = headers
        .get_all(ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
    let line = format!("{name} answers {} {} ({count} request headers)\n", request.method(), request.uri());
    if wants_page { Html(page(name, &line)).into_response() } else { line.into_response() }
}

fn page(name: &str, line: &str) -> String {
    let line = line.trim_end().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>{name} | LoadWeaver demo</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1rem }}
  h1 {{ border-left: 1ch solid {name}; padding-left: 1ch }}
</style>
<h1>{name}</h1>
<p>{line}</p>
<p>Load this page again and another origin answers.</p>
</html>
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_write_into_the_page() {
        assert!(page("red", "red answers GET /<script>").contains("/&lt;script&gt;"));
    }
}
