"""What is told of several rounds of an attack."""

import unittest

from .attacks import of_rounds, ratio


def of(alone, attacked):
    return {
        "alone": [{"p99": latency} for latency in alone],
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


if __name__ == "__main__":
    unittest.main()
