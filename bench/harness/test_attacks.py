"""What is told of several rounds of an attack."""

import unittest

from .attacks import calm, calmest, of_rounds, ratio


def of(alone, attacked):
    return {
        "alone": [{"p90": latency / 2, "p99": latency} for latency in alone],
        "attacked": [{"p99": attacked}],
        "use": 0.5,
        "errors": 1,
        "attacker": {"connects": 10, "cut": 9},
        "resident": (40, 42, 41),
        "attacks": ["rapid_reset"],
    }


class Rounds(unittest.TestCase):
    def test_the_median_of_all_spells_is_told(self):
        together = of_rounds([of([200, 300], 500), of([90_000, 250], 600), of([240, 260], 80_000)])
        self.assertEqual(ratio(together), 600 / 255)
        self.assertEqual(together["ratios"][0], 600 / 45_125)
        self.assertEqual((together["errors"], together["connects"], together["cut"]), (3, 30, 27))
        self.assertEqual(together["resident"], (40, 42, 41))

    def test_rounds_count_when_the_machine_was_calm_before_and_after(self):
        rounds = [of([200, 900], 100), of([210, 220], 900), of([250, 200], 800), of([900, 900], 50)]
        self.assertEqual(calm(rounds), 2)
        self.assertEqual(calmest(rounds, 2), rounds[1:3])


if __name__ == "__main__":
    unittest.main()
