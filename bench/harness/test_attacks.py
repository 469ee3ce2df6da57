"""What is told of several rounds of an attack."""

import unittest
from collections import Counter

from .attacks import of_rounds, quantile, ratio


def of(alone, attacked):
    return {
        "alone": Counter(alone),
        "attacked": Counter(attacked),
        "use": 0.5,
        "errors": 1,
        "attacker": {"connects": 10, "cut": 9},
        "resident": (40, 42, 41),
        "attacks": ["rapid_reset"],
    }


class Rounds(unittest.TestCase):
    def test_a_quantile_is_a_latency_that_came(self):
        latency = Counter({100.0: 98, 500.0: 1, 900.0: 1})
        self.assertEqual([quantile(latency, part) for part in (0.5, 0.98, 0.99, 1.0)], [100.0, 100.0, 500.0, 900.0])

    def test_rounds_count_exchange_by_exchange(self):
        quiet = of({100.0: 1000}, {100.0: 980, 300.0: 20})
        noisy = of({100.0: 900, 2000.0: 100}, {100.0: 900, 2000.0: 100})
        together = of_rounds([quiet, noisy])
        self.assertEqual(together["ratios"], [1.0, 3.0])
        self.assertEqual(ratio(together, 0.99), 1.0)
        self.assertEqual(together["alone"].total(), 2000)
        self.assertEqual((together["errors"], together["connects"], together["cut"]), (2, 20, 18))
        self.assertEqual(together["resident"], (40, 42, 41))


if __name__ == "__main__":
    unittest.main()
