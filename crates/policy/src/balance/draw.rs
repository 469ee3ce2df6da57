//! Drawing lots from one 64-bit random number: as many draws as it takes, the same ones for the same number.

use super::Seat;

/// A stream of random numbers (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
pub(super) struct Draw(u64);

/// 2^64 divided by the golden ratio: the step that spreads consecutive numbers farthest.
pub(super) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draw {
    pub(super) fn new(random: u64) -> Self {
        Self(random)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `n`, or 0 if `n` is 0. Multiplies instead of dividing (Lemire, "Fast random integer
    /// generation in an interval", 2019) and lets the bias of at most n / 2^64 stand.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(n);
        (wide >> 64) as u64
    }

    /// One of `items`, each as likely as the other.
    pub(super) fn one_of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let at = self.below(items.len() as u64);
        items.get(usize::try_from(at).unwrap_or(usize::MAX))
    }

    /// One of the seats that are accepted, by weight, in one pass over all of them: the seat at hand takes
    /// the place of the one before with the probability of its share of the weight so far.
    pub(super) fn among(&mut self, seats: &[Seat], accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let mut so_far = 0;
        let mut chosen = None;
        for seat in seats {
            if accepts(seat.index) {
                so_far += u64::from(seat.weight);
                if self.below(so_far) < u64::from(seat.weight) {
                    chosen = Some(seat.index);
                }
            }
        }
        chosen
    }
}

/// The output function of SplitMix64: every bit of the input moves half the bits of the result.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
