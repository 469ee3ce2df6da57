//! Numbers that a worker draws: for spreading load, for ids of requests, and for ids of traces.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// The generators of one worker.
#[derive(Debug)]
pub(crate) struct Random {
    state: Cell<u64>,
    /// The worker's number and the start of the process keep ids of different workers and runs apart.
    request_seed: u64,
    next_request: Cell<u64>,
    /// The states of two generators, seeded by the system: ids of traces must not meet those of other nodes.
    traces: Cell<[u64; 2]>,
}

impl Random {
    /// For the worker with this number, which starts now (nanoseconds since 1970). On the worker's own thread.
    pub(super) fn new(index: usize, now: u64) -> Self {
        let seed = mix(now ^ (index as u64) << 56 ^ u64::from(std::process::id()) << 32);
        // 128 bits of the system, through the keys that the standard library asks it for. The generator of the TLS
        // library takes 0.1 s of CPU time when it is first asked, which who neither traces nor speaks TLS would pay too.
        let keys = RandomState::new();
        Self {
            state: Cell::new(seed),
            request_seed: mix(seed),
            next_request: Cell::new(0),
            traces: Cell::new([keys.hash_one(0_u8), keys.hash_one(1_u8)]),
        }
    }

    /// A random number, good for spreading load and for nothing else.
    /// Source: SplitMix64 (Steele, Lea, Flood 2014).
    pub(crate) fn number(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        mix(state)
    }

    /// Random bits for an id of a trace or a span.
    pub(crate) fn trace_bits(&self) -> u64 {
        let [one, other] = self.traces.get();
        let next = [one.wrapping_add(0x9e37_79b9_7f4a_7c15), other.wrapping_add(0xd1b5_4a32_d192_ed03)];
        self.traces.set(next);
        mix(mix(next[0]) ^ next[1])
    }

    /// An id for a request that came without one: 16 hexadecimal digits, not repeated by this node.
    pub(crate) fn request_id(&self) -> [u8; 16] {
        let number =
            mix(self.request_seed ^ self.next_request.replace(self.next_request.get().wrapping_add(1)));
        let mut text = [0; 16];
        for (place, digit) in text.iter_mut().enumerate() {
            let nibble = u8::try_from(number >> (60 - 4 * place) & 0xf).unwrap_or(0);
            *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        }
        text
    }
}

/// A bijection on 64 bits: the finisher of SplitMix64. Different numbers stay different.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
