//! The last so many points.

use std::collections::VecDeque;

/// Points with numbers, of which the last `most` are kept. Numbers that were left out have [`Default`] points.
#[derive(Debug)]
pub(crate) struct Ring<Point> {
    points: VecDeque<Point>,
    most: usize,
    /// The number that the next point has at least.
    next: u64,
}

impl<Point: Default + Clone> Ring<Point> {
    /// Has all its memory from the begin; the system gives it page by page.
    pub(crate) fn new(most: usize) -> Self {
        Self { points: VecDeque::with_capacity(most), most, next: 0 }
    }

    /// Adds one; what is not after all others is left out.
    pub(crate) fn push(&mut self, number: u64, point: Point) {
        if number < self.next {
            return;
        }
        if !self.points.is_empty() {
            let gap = usize::try_from(number - self.next).unwrap_or(self.most).min(self.most);
            (0..gap).for_each(|_| self.put(Point::default()));
        }
        self.put(point);
        self.next = number + 1;
    }

    fn put(&mut self, point: Point) {
        if self.points.len() >= self.most {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// Those with the numbers `first` to `last`, whether they are kept or not.
    pub(crate) fn range(&self, first: u64, last: u64) -> impl Iterator<Item = Point> + '_ {
        (first..=last).map(|number| {
            let back = self.next.checked_sub(number + 1).and_then(|back| usize::try_from(back).ok());
            let at = back.and_then(|back| self.points.len().checked_sub(back + 1));
            at.and_then(|at| self.points.get(at)).cloned().unwrap_or_default()
        })
    }

    /// The last `count` that are kept, the newest first.
    pub(crate) fn newest(&self, count: usize) -> impl Iterator<Item = &Point> {
        self.points.iter().rev().take(count)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<Point>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_ones_and_knows_them_by_number() {
        let mut ring = Ring::new(4);
        for number in 10..=15_u64 {
            ring.push(number, number);
        }
        assert_eq!(ring.range(11, 16).collect::<Vec<_>>(), [0, 12, 13, 14, 15, 0]);
        ring.push(15, 99);
        assert_eq!(ring.newest(2).copied().collect::<Vec<_>>(), [15, 14]);
    }

    #[test]
    fn what_was_left_out_is_empty() {
        let mut ring = Ring::new(4);
        ring.push(1, 1);
        ring.push(4, 4);
        assert_eq!(ring.range(0, 4).collect::<Vec<_>>(), [0, 1, 0, 0, 4]);
        ring.push(u64::MAX - 1, 5);
        assert_eq!(ring.newest(9).copied().collect::<Vec<_>>(), [5, 0, 0, 0]);
    }
}
