//! What RFC 9113 and RFC 7541 say of a server, against the running binary: section by section, in the clear and over
//! TLS. Each case has a connection of its own. The engine alone is held to more in `crates/http2/tests`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod http2_rfc {
    pub(crate) mod case;
    pub(crate) mod compression;
    pub(crate) mod frames;
    pub(crate) mod messages;
    pub(crate) mod streams;
    pub(crate) mod windows;
}
use http2_rfc::case::{self, Case, Ground};
use http2_rfc::{compression, frames, messages, streams};

/// How many listeners each case is tried at.
const LISTENERS: usize = 2;

#[track_caller]
fn hold(cases: &[Case]) {
    let ground = Ground::start();
    let mut problems = Vec::new();
    for (listener, address) in ground.listeners() {
        for case in cases {
            if let Err(problem) = case::play(address, case) {
                problems.push(format!("{listener}, {}: {problem}", case.rule));
            }
        }
    }
    let all = cases.len() * LISTENERS;
    assert!(problems.is_empty(), "{} of {all} cases:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn section_3_and_4_the_connection_begins_and_frames_are_read() {
    hold(&[frames::beginning(), frames::format(), frames::size(), frames::blocks()].concat());
}

#[test]
fn section_5_streams_have_states_numbers_and_errors() {
    let states = [streams::idle(), streams::half_closed(), streams::closed()].concat();
    hold(&[states, streams::numbers(), streams::dependencies(), streams::errors()].concat());
}

#[test]
fn section_6_each_type_of_frame_has_its_size_and_its_stream() {
    let of_streams =
        [frames::data_frames(), frames::headers(), frames::priority(), frames::resets()].concat();
    let of_connections =
        [frames::settings_frames(), frames::push(), frames::ping(), frames::goaway()].concat();
    hold(&[of_streams, of_connections, frames::window_update(), frames::continuation()].concat());
}

#[test]
fn section_7_codes_that_nobody_knows_are_no_error() {
    hold(&streams::codes());
}

#[test]
fn section_8_messages_are_whole_and_well_formed() {
    hold(&[messages::exchanges(), messages::framing(), messages::fields()].concat());
    hold(&[messages::pseudo_fields(), messages::connect(), messages::lengths()].concat());
}

#[test]
fn rfc_7541_blocks_are_decoded_or_end_the_connection() {
    hold(&[compression::representations(), compression::tables(), compression::primitives()].concat());
}
