//! Changes and watches the proxy while it runs.
