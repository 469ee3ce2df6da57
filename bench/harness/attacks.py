"""What known attacks do to everybody else: latency, errors, memory, and whether the attacker is cut.

One LoadWeaver on one core. On the other one an honest client at a constant rate, its origin, and an attacker who gets
what they leave of the core, and who comes back at once when he is cut. See bench/README.md.
"""

import argparse
import bisect
import json
import os
import sys
import threading
import time
import urllib.request
from statistics import median

from . import cli, proxies
from .procs import LOAD_CORE, PROXY_CORE, BenchError, Child, SoftInterrupts, prepare, resident_bytes, wait_for_answer
from .report import replace_between
from .turn import Bench

CONNECTIONS = 64
LARGE = 1024 * 1024
# What the origin of those has of each on the way.
SEND_BUFFER = 16 * 1024
# How long a client may read nothing; the default of a minute would outlast the attack.
SEND = "3s"
# The same for handshakes.
HANDSHAKE = "3s"
# The niceness of the attacker and of the origin that works for him alone: a core's leftovers.
LEFTOVER = 19
# What it may do to the others' p99.
MOST = 2.0
# An answer that takes longer, in µs, is told of by itself.
SLOW = 250
# Who wanted to run every 250 µs, before everybody else, and was so many µs late, was on a core that was not there.
OVER = 500
# What comes due meanwhile does not count, nor what comes due while the proxy catches up: so many times as long again.
CATCHES_UP = 2
# A round in which a core was away for more than this share of a spell, catching up included, is made again.
CALM = 0.06
# What is told of latencies.
MARKS = ("p50", "p90", "p99")
ALL_MARKS = (*MARKS, "whole_p99")

# Name → (what the attacker does, his connections).
ATTACKS = {
    "rapid_reset": ("requests, cancelled at once (CVE-2023-44487)", 8),
    "made_you_reset": ("requests that we have to cancel (CVE-2025-8671)", 8),
    "stream_flood": ("more requests at once than allowed", 8),
    "continuation_flood": ("a head without an end (CVE-2024-27316)", 8),
    "settings_flood": ("settings (CVE-2019-9515)", 8),
    "ping_flood": ("pings (CVE-2019-9512)", 8),
    "empty_frames": ("frames with nothing in them (CVE-2019-9518)", 8),
    "hpack_bomb": ("heads that unpack to a hundred times their size (CVE-2016-6581)", 8),
    "large_heads": ("heads ten times larger than allowed, from few bytes each", 8),
    "window_stall": ("large answers, and no window for them (CVE-2019-9517)", 8),
    "unread_answers": ("large answers, not taken out of the socket", 8),
    "tls_handshakes": ("handshakes, given up when we have done our part", 8),
    "slow_handshakes": ("handshakes that do not go on", 5000),
}


def arguments():
    parser = argparse.ArgumentParser(prog="bench/attacks", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("attacks", nargs="*", metavar="NAME", help=f"default: all of {' '.join(ATTACKS)}")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each attack, and as long without it")
    parser.add_argument("--rounds", type=int, default=1, help="of each; the median is told")
    parser.add_argument("--tries", type=int, default=2, help="times as many rounds at the most, where the machine was elsewhere")
    parser.add_argument("--rate", type=float, default=18000.0, help="requests per second of the others")
    parser.add_argument("--connects", type=float, default=100, help="connections per second of the attacker at the most (default 100)")
    parser.add_argument("--bytes", type=float, default=0, help="bytes per second of the attacker at the most")
    parser.add_argument("--loadweaver", metavar="PATH", help="the binary (default target/release/loadweaver)")
    parser.add_argument("--readme", action="store_true", help="put the table into bench/README.md")
    parser.add_argument("--profile", metavar="FILE", help="perf's data of the proxy, recorded while the attack lasts")
    return parser.parse_args()


def main():
    args = arguments()
    if args.rounds < 1:
        sys.exit("--rounds: at least 1")
    names = args.attacks or list(ATTACKS)
    unknown = [name for name in names if name not in ATTACKS]
    if unknown:
        sys.exit(f"no such attack: {', '.join(unknown)}; there are: {', '.join(ATTACKS)}")
    try:
        prepare()
        cli.build_tools()
        binary = args.loadweaver or proxies.find_binary("loadweaver", cli.ROOT)
        if not binary:
            raise BenchError("no loadweaver binary: cargo build --release")
        bench = Bench(cli.ROOT, {"loadweaver": binary}, args.seconds, 0.5, False)
        try:
            results = []
            for name in names:
                rounds = []
                while len(rounds) < args.rounds or (len(rounds) < args.tries * args.rounds and calm(rounds) < args.rounds):
                    with SoftInterrupts(2):
                        rounds.append(Siege(args, bench, binary, name).run())
                    cli.note(summary(name, rounds[-1]))
                results.append((name, of_rounds(calmest(rounds, args.rounds))))
        finally:
            bench.close()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    lines = table(args, results)
    print("\n".join(lines))
    if args.readme:
        path = os.path.join(cli.ROOT, "bench", "README.md")
        replace_between(path, "<!-- attacks -->", "<!-- /attacks -->", lines)


class Siege:
    """One LoadWeaver, afresh, and one attack on it."""

    def __init__(self, args, bench, binary, name):
        self.args = args
        self.bench = bench
        self.binary = binary
        self.name = name

    def run(self):
        origin, (server,) = self.bench.start_origin(1, 128, realtime=1)
        # Only the attacker asks for these: his own share of the core has to do for them. Their kernel is ours: what it
        # copies into buffers, and throws away, of 800 MiB that nobody reads would be the others' time.
        extra = ("--send-buffer", str(SEND_BUFFER))
        large_origin, (large_server,) = self.bench.start_origin(1, LARGE, extra, niceness=LEFTOVER)
        with origin, large_origin:
            setup = proxies.Setup([server, large_server], self.bench.directory, tls=True)
            with self._start(setup) as proxy:
                return self._besieged(setup, proxy, origin)

    def _start(self, setup):
        servers = [[{"host": host, "port": port}] for host, port in setup.servers]
        cert, key, _ = setup.tls
        self.tls_port = proxies.free_port()
        tls = {"certificates": [{"cert": cert, "key": key}], "handshakeTimeout": HANDSHAKE}
        config = {
            "workers": 1,
            "listeners": {
                "web": {"bind": f"127.0.0.1:{setup.port}"},
                "secure": {"bind": f"127.0.0.1:{self.tls_port}", "tls": tls},
            },
            "routes": [{"name": "large", "match": {"path": "/large"}, "pool": "large"}, {"name": "rest", "pool": "app"}],
            "pools": {"app": {"servers": servers[0]}, "large": {"servers": servers[1]}},
            "timeouts": {"send": SEND},
            "admin": {"bind": f"127.0.0.1:{setup.admin_port}"},
            "accessLog": {"output": "off"},
        }
        argv = [self.binary, "run", "--config", setup.write("attacks.json", json.dumps(config, indent=1))]
        child = Child("loadweaver", argv, PROXY_CORE, os.path.join(setup.directory, "loadweaver.log"), realtime=1)
        try:
            wait_for_answer(setup.port, child)
        except BenchError:
            child.stop()
            raise
        return child

    def _besieged(self, setup, proxy, origin):
        seconds = self.args.seconds
        self._load(setup, proxy, origin, 1.0)
        before = self._load(setup, proxy, origin, seconds / 2)
        resident, cuts = resident_bytes(proxy.pids()), self._api(setup, "metrics")["clientsCut"]
        watch = Resident(proxy)
        with self._attacker(setup) as attacker, watch:
            recorder = self._recorder(proxy)
            during = self._load(setup, proxy, origin, seconds)
            if recorder:
                recorder.wait(30)
            told = attacker.read_json(30)
        metrics = self._api(setup, "metrics")
        after = self._load(setup, proxy, origin, seconds / 2)
        if not proxy.alive():
            raise BenchError(f"loadweaver ended under attack:\n{proxy.tail()}")
        events = [event for event in self._api(setup, "events") if event["event"] == "client_cut"]
        return {
            # The machine's speed moves within minutes: a spell on each side of the attack.
            "alone": [before["spell"], after["spell"]],
            "attacked": [during["spell"]],
            "rate": during["rate"],
            "use": during["use"],
            "errors": before["errors"] + during["errors"] + after["errors"],
            "resident": (resident, watch.peak, resident_bytes(proxy.pids())),
            "attacker": told,
            "cuts": metrics["clientsCut"] - cuts,
            "attacks": sorted({event["details"]["attack"] for event in events}),
        }

    def _attacker(self, setup):
        tls = self.name in ("tls_handshakes", "slow_handshakes")
        port = self.tls_port if tls else setup.port
        count = ATTACKS[self.name][1]
        # From before the first request of the load's warm-up to after its end.
        seconds = self.args.seconds + 2 * self.bench.warmup
        argv = [
            os.path.join(os.path.dirname(self.bench.load), "attack"),
            "--target", f"127.0.0.1:{port}", "--name", self.name, "--seconds", str(seconds),
            "--connections", str(count),
            "--connects", str(0 if count > 8 else self.args.connects), "--bytes", str(self.args.bytes),
        ]  # fmt: skip
        log = os.path.join(self.bench.directory, "attack.log")
        return Child("attack", argv, LOAD_CORE, log, pipe=True, niceness=LEFTOVER)

    def _recorder(self, proxy):
        if not self.args.profile:
            return None
        argv = ["perf", "record", "-q", *os.environ.get("PERF_EVENTS", "-g -F 997").split(), "-o", self.args.profile, "-p", str(proxy.pid),
                "--", "sleep", str(self.args.seconds * 0.8)]  # fmt: skip
        return Child("perf", argv, LOAD_CORE, os.path.join(self.bench.directory, "perf.log")).process

    def _load(self, setup, proxy, origin, seconds):
        argv = [
            self.bench.load, "--target", f"127.0.0.1:{setup.port}", "--connections", str(CONNECTIONS),
            "--rate", str(self.args.rate), "--seconds", str(seconds), "--warmup", str(self.bench.warmup),
            "--slow", str(SLOW), "--watch", f"proxy={proxy.pid}", "--watch", f"honest={origin.pid}",
        ]  # fmt: skip
        log = os.path.join(self.bench.directory, "load.log")
        with self._sentinel(PROXY_CORE, seconds) as ours, self._sentinel(LOAD_CORE, seconds) as theirs:
            with Child("load", argv, LOAD_CORE, log, pipe=True, realtime=1) as load:
                raw = load.read_json(seconds + 60)
            gaps = ours.read_json(30)["gaps"] + theirs.read_json(30)["gaps"]
        # Answers with a status of our own making are among them.
        errors = sum(raw["errors"].values())
        return {
            "spell": Spell(raw, gaps),
            "errors": errors,
            "rate": raw["requests"] / raw["seconds"],
            "use": raw["watch"]["proxy"]["cpu_ns"] / 1e9 / raw["seconds"],
        }

    def _sentinel(self, core, seconds):
        """Says when a core was not there, from before the load's first request to after its last."""
        argv = [
            os.path.join(os.path.dirname(self.bench.load), "gaps"),
            "--seconds", str(seconds + self.bench.warmup + 1), "--over", str(OVER),
        ]  # fmt: skip
        log = os.path.join(self.bench.directory, "gaps.log")
        return Child("gaps", argv, core, log, pipe=True, realtime=3)

    def _api(self, setup, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{setup.admin_port}/api/{name}", timeout=10) as answer:
            return json.load(answer)["data"]


class Resident:
    """The most memory that a process had resident while this was open."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.peak = 0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._watcher.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._watcher.join()

    def _watch(self):
        # smaps_rollup walks all pages under the lock that page faults want; statm does not.
        while not self._over.wait(0.1):
            try:
                with open(f"/proc/{self.proxy.pid}/statm", encoding="ascii") as statm:
                    self.peak = max(self.peak, int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            except OSError:
                return


class Spell:
    """Latencies of a load at a constant rate, without what came due while a core was not there."""

    def __init__(self, raw, gaps):
        self.p50 = raw["latency_us"]["p50"]
        self.whole_p99 = raw["latency_us"]["p99"]
        away = extended(gaps)
        begin, end = raw["began"], raw["began"] + raw["seconds"]
        lost = sum(max(0.0, min(to, end) - max(since, begin)) for since, to in away)
        self.away = lost / raw["seconds"]
        counted = raw["requests"] * (1 - self.away)
        slow = sorted((latency for due, latency in raw["slow"] if not within(due, away)), reverse=True)
        self.p90, self.p99 = (slowest(slow, counted * part) for part in (0.1, 0.01))


def extended(gaps):
    """Gaps with the time of catching up, in order and apart."""
    apart = []
    for since, to in sorted((since, to + CATCHES_UP * (to - since)) for since, to in gaps):
        if apart and since <= apart[-1][1]:
            apart[-1][1] = max(apart[-1][1], to)
        else:
            apart.append([since, to])
    return apart


def within(moment, spans):
    """Whether one of these spans, in order and apart, has the moment in it."""
    place = bisect.bisect_right(spans, [moment, float("inf")]) - 1
    return place >= 0 and moment <= spans[place][1]


def slowest(slow, number):
    """What so many took longer than; what is not told of one by one is taken for as slow as can be."""
    return slow[int(number)] if number < len(slow) else SLOW


def told(spells, mark):
    """The median spell's, in µs."""
    return median(getattr(spell, mark) for spell in spells)


def ratio(result, mark="p99"):
    return told(result["attacked"], mark) / told(result["alone"], mark)


def unrest(result):
    """The share of its worst spell that a core was away."""
    return max(spell.away for spell in (*result["alone"], *result["attacked"]))


def calm(rounds):
    """How many rounds were."""
    return sum(unrest(result) <= CALM for result in rounds)


def calmest(rounds, count):
    """What counts. Who is away is the machine: neither the proxy nor its attacker goes before a sentinel."""
    return sorted(rounds, key=unrest)[:count]


def of_rounds(rounds):
    """All rounds as one: each spell, all counts, the most memory, each round's ratio."""
    return {
        "alone": [spell for result in rounds for spell in result["alone"]],
        "attacked": [spell for result in rounds for spell in result["attacked"]],
        "ratios": sorted(ratio(result) for result in rounds),
        "use": sum(result["use"] for result in rounds) / len(rounds),
        "errors": sum(result["errors"] for result in rounds),
        "connects": sum(result["attacker"]["connects"] for result in rounds),
        "cut": sum(result["attacker"]["cut"] for result in rounds),
        "resident": tuple(max(each) for each in zip(*(result["resident"] for result in rounds), strict=True)),
        "attacks": sorted({attack for result in rounds for attack in result["attacks"]}),
    }


def mib(size):
    return f"{size / 1048576:.0f}"


def summary(name, result):
    marks = ", ".join(
        f"{mark} {'/'.join(f'{getattr(spell, mark):,.0f}' for spell in result['alone'])} → "
        f"{told(result['attacked'], mark):,.0f} µs ({ratio(result, mark):.2f})"
        for mark in ALL_MARKS
    )
    away = "/".join(f"{spell.away:.1%}" for spell in (*result["alone"], *result["attacked"]))
    return (
        f"{name}: {marks}, away {away}, {result['errors']} errors, {result['rate']:.0f}/s, core {result['use']:.0%}, "
        f"MiB {'/'.join(map(mib, result['resident']))}, {result['attacker']}, cut {result['cuts']} {result['attacks']}"
    )


def share(results, phase):
    """Of the time that cores were not there, catching up included."""
    return f"{median(spell.away for _, result in results for spell in result[phase]):.1%}"


def table(args, results):
    lines = [
        f"Commit {cli.commit()}, {time.strftime('%Y-%m-%d')}, {cli.cpu_model()}, {os.cpu_count()} cores. "
        f"{args.rounds} × {args.seconds:g} s of each; {args.rate:,.0f} requests/s on {CONNECTIONS} connections of others. "
        "In µs, alone → attacked, medians of the spells; in brackets the least and the largest ratio of a round. "
        f"Cores were not there for {share(results, 'alone')} of the time alone and {share(results, 'attacked')} under attack; "
        "the p99 with what came due meanwhile is in the last column.",
        "",
        "| attack | others' p50 | p90 | p99 | its ratio | errors | core used "
        "| attacker's connections/s | cut | told as | MiB before | peak | after | p99 of all |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|",
    ]
    for name, result in results:
        marks = " | ".join(
            f"{told(result['alone'], mark):,.0f} → {told(result['attacked'], mark):,.0f}" for mark in MARKS
        )
        worst = ratio(result)
        names = ", ".join(f"`{attack}`" for attack in result["attacks"]) or "–"
        resident = " | ".join(map(mib, result["resident"]))
        lines.append(
            f"| `{name}`: {ATTACKS[name][0]} | {marks} | {worst:.2f} ({result['ratios'][0]:.2f}–"
            f"{result['ratios'][-1]:.2f}){'' if worst <= MOST else ' !'} | {result['errors']} | {result['use']:.0%} "
            f"| {result['connects'] / args.seconds / args.rounds:,.0f} | {result['cut']:,} | {names} | {resident} "
            f"| {told(result['alone'], 'whole_p99'):,.0f} → {told(result['attacked'], 'whole_p99'):,.0f} |"
        )
    return lines
