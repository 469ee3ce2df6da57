//! Where reads are cut: `[count][count sizes][the stream]`, each size one byte.

/// Sizes of reads, used in turn and then from the start again.
#[derive(Debug, Clone)]
pub struct Cuts {
    sizes: Vec<usize>,
}

/// Most sizes that are taken from an input; more would only repeat what fewer can do.
const MOST: usize = 16;

impl Cuts {
    /// Takes the sizes from the start of the input; the rest is the stream. Without sizes all comes in one read.
    pub fn take(input: &[u8]) -> (Self, &[u8]) {
        let Some((count, rest)) = input.split_first() else { return (Self { sizes: Vec::new() }, input) };
        let count = (usize::from(*count) % (MOST + 1)).min(rest.len());
        let (sizes, stream) = rest.split_at(count);
        // A read of no bytes is the end of the stream and not a cut.
        (Self { sizes: sizes.iter().map(|size| usize::from(*size).max(1)).collect() }, stream)
    }

    /// How many bytes of a stream of `len` bytes have come after each read; the last is `len`, and there is always
    /// one.
    pub fn ends(&self, len: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut sizes = self.sizes.iter().cycle();
        let mut end = 0;
        loop {
            end = sizes.next().map_or(len, |size| len.min(end + size));
            ends.push(end);
            if end == len {
                return ends;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_cover_the_stream_exactly() {
        let (cuts, stream) = Cuts::take(b"\x02\x01\x03abcdefg");
        assert_eq!(stream, b"abcdefg");
        assert_eq!(cuts.ends(stream.len()), [1, 4, 5, 7]);
        let (cuts, stream) = Cuts::take(b"\x00abc");
        assert_eq!(cuts.ends(stream.len()), [3]);
        let (cuts, stream) = Cuts::take(b"");
        assert_eq!(cuts.ends(stream.len()), [0]);
        let (cuts, stream) = Cuts::take(b"\x01\x00ab");
        assert_eq!(cuts.ends(stream.len()), [1, 2]);
    }
}
