"""What the table may claim. `scripts/test` runs it."""

import unittest

from . import proxies, report
from .scenarios import BY_NAME


def turns(*values, key="cpu_us"):
    return [{key: value, "disturbed": 0, "errors": 0} for value in values]


class Judging(unittest.TestCase):
    def test_ratio_is_the_median_of_pairs_so_that_a_slow_spell_of_the_machine_cancels(self):
        results = {
            ("loadweaver", ""): turns(8.0, 16.0, 8.0),
            ("haproxy", ""): turns(10.0, 20.0, 10.0),
            ("nginx", ""): turns(30.0, 30.0, 1.0),
        }
        (line,) = report.judge(BY_NAME["small"], results)
        self.assertEqual((line.what, line.ours, line.theirs), ("against haproxy", 8.0, 10.0))
        self.assertAlmostEqual(line.value, 0.8)
        self.assertEqual(line.verdict, "met, aim too")

    def test_a_variant_is_never_the_best_peer(self):
        results = {("haproxy", ""): turns(20.0), ("haproxy", "2 servers"): turns(10.0), ("nginx", ""): turns(30.0)}
        self.assertEqual(report.best_peer(results, "cpu_us"), "haproxy")
        (against_peer, _) = report.judge(BY_NAME["servers1000"], results)
        self.assertEqual(against_peer.theirs, 20.0)

    def test_own_cost_is_held_against_the_other_shape(self):
        results = {
            ("loadweaver", ""): turns(16.0),
            ("loadweaver", "2 servers"): turns(10.0),
            ("haproxy", ""): turns(19.0),
        }
        against_peer, own = report.judge(BY_NAME["servers1000"], results)
        self.assertEqual(against_peer.verdict, "met")
        self.assertAlmostEqual(own.value, 1.6)
        self.assertEqual(own.verdict, "NOT MET")

    def test_log_on_is_held_against_log_off(self):
        results = {("loadweaver", ""): turns(10.0), ("loadweaver", "log on"): turns(10.9)}
        (own,) = report.judge(BY_NAME["accesslog"], results)
        self.assertAlmostEqual(own.value, 1.09)
        self.assertEqual(own.verdict, "met")

    def test_a_tuned_peer_counts_and_the_untuned_one_is_shown_beside_it(self):
        results = {
            ("loadweaver", ""): turns(9.0),
            ("haproxy", ""): turns(10.0),
            ("envoy", ""): turns(15.0),
            ("haproxy", "as it comes"): turns(20.0),
        }
        tuned, untuned = report.judge(BY_NAME["download"], results)
        self.assertEqual((tuned.what, tuned.theirs), ("against haproxy", 10.0))
        self.assertEqual((untuned.what, untuned.theirs), ("against envoy as it comes", 15.0))

    def test_what_was_not_measured_is_not_met(self):
        for results in ({}, {("loadweaver", ""): turns(1.0)}, {("haproxy", ""): turns(1.0)}):
            (line,) = report.judge(BY_NAME["small"], results)
            self.assertEqual(line.verdict, "not measured")

    def test_idle_is_judged_by_bytes(self):
        results = {("loadweaver", ""): turns(1101.0, key="idle_bytes")}
        (line,) = report.judge(BY_NAME["idle"], results)
        self.assertEqual(line.verdict, "NOT MET")

    def test_the_interval_holds_the_median_and_widens_with_the_noise(self):
        calm = report.Ratio(turns(*[8.0] * 20), turns(*[10.0] * 20), "cpu_us")
        wild = report.Ratio(turns(*[6.0, 7.0, 9.0, 10.0] * 5), turns(*[10.0] * 20), "cpu_us")
        self.assertEqual((calm.low, calm.high), (0.8, 0.8))
        self.assertTrue(wild.low <= wild.value <= wild.high and wild.low < wild.high)


class Versions(unittest.TestCase):
    def test_reads_the_number_and_no_path_or_hash(self):
        texts = {
            "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n": "2.6.12-1+deb12u4",
            "nginx version: nginx/1.22.1\n": "1.22.1",
            "/opt/3.11.7/bin/envoy  version: " + "9e" * 20 + "/1.40.0/Clean/RELEASE/BoringSSL\n": "1.40.0",
            "loadweaver 0.1.0\n": "0.1.0",
        }
        for text, expected in texts.items():
            self.assertEqual(proxies.version_in(text), expected)


if __name__ == "__main__":
    unittest.main()
