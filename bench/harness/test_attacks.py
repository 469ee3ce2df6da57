"""What is told of several rounds of an attack, and what does not count."""

import unittest

from .attacks import Spell, calm, calmest, extended, of_rounds, ratio, within


def spell(p99, gaps=()):
    slow = [[100.0 + nth / 100, p99 + nth] for nth in range(100)]
    raw = {"latency_us": {"p50": 200, "p99": p99}, "began": 100.0, "seconds": 10.0, "requests": 5000, "slow": slow}
    return Spell(raw, gaps)


def of(alone, attacked):
    return {
        "alone": [spell(latency) for latency in alone],
        "attacked": [spell(attacked)],
        "use": 0.5,
        "errors": 1,
        "attacker": {"connects": 10, "cut": 9},
        "resident": (40, 42, 41),
        "attacks": ["rapid_reset"],
    }


class Rounds(unittest.TestCase):
    def test_the_median_of_all_spells_is_told(self):
        together = of_rounds([of([200, 300], 500), of([90_000, 250], 600), of([240, 260], 80_000)])
        # The slowest hundredth of 5,000 are 50 of the 100 that are told of, from the mark to 99 above it.
        self.assertEqual(ratio(together), (600 + 49) / (255 + 49))
        self.assertEqual((together["errors"], together["connects"], together["cut"]), (3, 30, 27))
        self.assertEqual(together["resident"], (40, 42, 41))

    def test_what_came_due_while_a_core_was_away_does_not_count(self):
        self.assertEqual(spell(1000).p99, 1049)
        self.assertEqual(spell(1000).p90, 250, "no more than a hundred were slow")
        # Half a second, and twice as long to catch up: all of the slow ones came due then.
        away = spell(1000, [[99.9, 100.4]])
        self.assertEqual(away.p99, 250)
        self.assertAlmostEqual(away.away, 0.14)
        # 4,745 count, and the slower half of the slow ones is gone.
        self.assertAlmostEqual(spell(1000, [[100.49, 100.66]]).away, 0.051)
        self.assertEqual(spell(1000, [[100.49, 100.66]]).p99, 1001)

    def test_rounds_count_when_the_machine_was_there(self):
        rounds = [of([200, 200], 200) for _ in range(4)]
        for result, away in zip(rounds, (0.5, 0.01, 0.07, 0.02), strict=True):
            result["attacked"][0].away = away
        self.assertEqual(calm(rounds), 2)
        self.assertEqual(calmest(rounds, 2), [rounds[1], rounds[3]])

    def test_gaps_are_in_order_and_apart(self):
        spans = extended([[5.0, 6.0], [1.0, 2.0], [7.5, 7.6]])
        self.assertEqual(spans, [[1.0, 4.0], [5.0, 8.0]])
        found = [moment for moment in (0.9, 1.0, 3.9, 4.5, 5.0, 7.9, 8.1) if within(moment, spans)]
        self.assertEqual(found, [1.0, 3.9, 5.0, 7.9])


if __name__ == "__main__":
    unittest.main()
