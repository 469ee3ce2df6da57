#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use proptest::prelude::*;

use super::super::Seat;
use super::Table;

proptest! {
    /// The area that a server has in the table is its weight, to the last unit.
    #[test]
    fn shares_are_exact(weights in prop::collection::vec(1_u32..=1_000, 0..100)) {
        let seats: Vec<Seat> = (0..).zip(&weights).map(|(index, &weight)| Seat { index, weight, share: 1_000 }).collect();
        let table = Table::new(&seats);
        let mut area = vec![0_u64; weights.len()];
        for column in &table.columns {
            prop_assert!(column.edge <= table.height);
            area[column.lower as usize] += column.edge;
            area[column.upper as usize] += table.height - column.edge;
        }
        prop_assert_eq!(table.columns.len(), weights.len());
        let due: Vec<u64> = weights.iter().map(|&weight| u64::from(weight) * weights.len() as u64).collect();
        prop_assert_eq!(area, due);
    }
}
