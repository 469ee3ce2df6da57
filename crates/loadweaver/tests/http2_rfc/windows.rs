//! RFC 9113 sections 3.4, 5.1.2, 5.4.1, 6.5.3, 6.7 and 6.9: what a server says, and when.

use loadweaver_testkit::RawHttp2;
use loadweaver_testkit::http2::raw::{Frame, flag, frame, kind};

use super::case::{
    FRAME_SIZE, Ground, LARGE, REFUSED, asking, begin, get, head, held, setting, settings, window,
};

/// What a connection's window begins with.
const FIRST_WINDOW: usize = 65_535;

fn on_each(what: impl Fn(RawHttp2)) {
    let ground = Ground::start();
    for (_, address) in ground.listeners() {
        what(begin(address));
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// The next frame that belongs to a stream.
fn of_stream(raw: &mut RawHttp2) -> Frame {
    loop {
        let frame = raw.read_frame().unwrap().expect("the connection goes on");
        if frame.stream != 0 {
            return frame;
        }
    }
}

/// The bytes of DATA that come before the answer to a ping.
fn data_before_a_pong(raw: &mut RawHttp2) -> Vec<u8> {
    raw.frame(kind::PING, 0, 0, &[9; 8]).unwrap();
    let mut data = Vec::new();
    loop {
        let frame = raw.read_frame().unwrap().expect("the connection goes on");
        match frame.kind {
            kind::DATA => data.extend(frame.payload),
            kind::PING if frame.flags & flag::ACK != 0 => return data,
            _ => {}
        }
    }
}

#[test]
fn section_3_4_the_first_frame_is_the_settings_and_5_1_2_streams_above_theirs_are_refused() {
    let ground = Ground::start();
    for (_, address) in ground.listeners() {
        let mut raw = RawHttp2::connect(address);
        let first = raw.read_frame().unwrap().unwrap();
        assert_eq!((first.kind, first.flags, first.stream), (kind::SETTINGS, 0, 0));
        raw.frame(kind::SETTINGS, flag::ACK, 0, &[]).unwrap();
        let most = first.payload.chunks(6).find(|pair| pair[..2] == [0, 3]).map(|pair| number(&pair[2..]));
        let most = most.expect("streams have a limit");
        for count in 0..=most {
            raw.send(&held(2 * count + 1)).unwrap();
        }
        let refused = of_stream(&mut raw);
        assert_eq!((refused.kind, refused.stream), (kind::RST_STREAM, 2 * most + 1));
        assert_eq!(number(&refused.payload), REFUSED);
    }
}

#[test]
fn section_5_4_1_the_last_word_says_which_stream_was_the_last() {
    on_each(|mut raw| {
        raw.send(&[held(1), held(7), frame(kind::PING, 0, 0, &[0; 6])].concat()).unwrap();
        let last = raw.wait_for(kind::GOAWAY);
        assert_eq!((number(&last.payload), number(&last.payload[4..])), (7, FRAME_SIZE));
        assert_eq!(raw.goaway(), None, "nothing comes behind it");
    });
}

#[test]
fn section_6_5_3_each_settings_are_acknowledged_in_their_turn() {
    on_each(|mut raw| {
        // That of the opening.
        raw.wait_for(kind::SETTINGS);
        let several = [setting(3, 1), setting(0xfe, 7), setting(3, 2)].concat();
        raw.send(
            &[settings(&[]), frame(kind::SETTINGS, 0, 0, &several), frame(kind::PING, 0, 0, b"12345678")]
                .concat(),
        )
        .unwrap();
        for _ in 0..2 {
            let ack = raw.read_frame().unwrap().unwrap();
            assert_eq!((ack.kind, ack.flags, ack.payload.len()), (kind::SETTINGS, flag::ACK, 0));
        }
        let pong = raw.read_frame().unwrap().unwrap();
        assert_eq!((pong.kind, pong.flags, pong.stream), (kind::PING, flag::ACK, 0), "section 6.7");
        assert_eq!(pong.payload, b"12345678");
    });
}

#[test]
fn section_6_9_an_answer_is_sent_as_far_as_the_windows_go() {
    on_each(|mut raw| {
        // The last value of a setting counts (section 6.5.3).
        raw.send(&[settings(&[(4, 100), (4, 1)]), get(1)].concat()).unwrap();
        assert_eq!(of_stream(&mut raw).kind, kind::HEADERS);
        let first = of_stream(&mut raw);
        assert_eq!((first.kind, first.flags, first.payload.as_slice()), (kind::DATA, 0, &b"y"[..]));
        assert_eq!(data_before_a_pong(&mut raw), b"");
        raw.send(&window(1, 1)).unwrap();
        assert_eq!(of_stream(&mut raw).payload, b"e");
        raw.send(&window(1, 100)).unwrap();
        let last = of_stream(&mut raw);
        assert_eq!((last.flags, last.payload.as_slice()), (flag::END_STREAM, &b"s"[..]));
    });
}

#[test]
fn section_6_9_2_a_new_first_window_counts_for_open_streams_too() {
    on_each(|mut raw| {
        raw.send(&[settings(&[(4, 0)]), get(1)].concat()).unwrap();
        assert_eq!(of_stream(&mut raw).kind, kind::HEADERS);
        assert_eq!(data_before_a_pong(&mut raw), b"");
        raw.send(&settings(&[(4, 2)])).unwrap();
        assert_eq!(of_stream(&mut raw).payload, b"ye");
        // Now it is at -2, and 2 more make nothing.
        raw.send(&[settings(&[(4, 0)]), window(1, 2)].concat()).unwrap();
        assert_eq!(data_before_a_pong(&mut raw), b"");
        raw.send(&window(1, 1)).unwrap();
        assert_eq!(of_stream(&mut raw).payload, b"s");
    });
}

#[test]
fn section_6_9_1_the_connections_window_counts_for_all_streams() {
    on_each(|mut raw| {
        let large = head(flag::END_STREAM, 1, &asking("GET", "/large"));
        raw.send(&[settings(&[(4, 1 << 20)]), large].concat()).unwrap();
        let mut left = LARGE;
        while left > LARGE - FIRST_WINDOW {
            let frame = of_stream(&mut raw);
            left -= if frame.kind == kind::DATA { frame.payload.len() } else { 0 };
        }
        assert_eq!((left, data_before_a_pong(&mut raw).len()), (LARGE - FIRST_WINDOW, 0));
        raw.send(&[get(3), window(0, 1)].concat()).unwrap();
        let shared = [of_stream(&mut raw), of_stream(&mut raw)];
        let data: usize =
            shared.iter().filter(|frame| frame.kind == kind::DATA).map(|frame| frame.payload.len()).sum();
        assert_eq!(data, 1, "{shared:?}");
        raw.send(&window(0, 1 << 20)).unwrap();
        let mut ended = 0;
        while ended < 2 {
            ended += usize::from(of_stream(&mut raw).flags & flag::END_STREAM != 0);
        }
    });
}
