//! What must hold for every input, as functions that panic where it does not.
//!
//! The fuzz targets call them with what libFuzzer comes up with; the tests of this crate call them with the seeds, on
//! any toolchain. An input begins with a few bytes that say how the rest is to be used, above all where reads are cut
//! ([`cuts`]). The second opinions are [`strict`], [`strict_hpack`] and [`frames`], which
//! share nothing with the parsers that they judge.

pub mod cuts;
pub mod frames;
pub mod strict;
pub mod strict_hpack;

pub mod chunked_body;
pub mod collector_answer;
pub mod config;
pub mod config_rewrite;
pub mod hpack;
pub mod http2_client;
pub mod http2_server;
pub mod preface;
pub mod request_head;
pub mod response_head;
pub mod traceparent;

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// A target and the property that it is about.
    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 11] = [
        ("request_head", crate::request_head::holds),
        ("response_head", crate::response_head::holds),
        ("chunked_body", crate::chunked_body::holds),
        ("config", crate::config::holds),
        ("config_rewrite", crate::config_rewrite::holds),
        ("hpack", crate::hpack::holds),
        ("http2_client", crate::http2_client::holds),
        ("http2_server", crate::http2_server::holds),
        ("preface", crate::preface::holds),
        ("traceparent", crate::traceparent::holds),
        ("collector_answer", crate::collector_answer::holds),
    ];

    #[test]
    fn every_seed_holds() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
        for (target, holds) in TARGETS {
            let files: Vec<_> = std::fs::read_dir(seeds.join(target)).unwrap().collect();
            assert!(files.len() >= 5, "{target} has hardly any seeds");
            for file in files {
                let path = file.unwrap().path();
                println!("{}", path.display());
                holds(&std::fs::read(path).unwrap());
            }
        }
    }
}
