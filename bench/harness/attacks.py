"""What known attacks do to everybody else: latency, errors, memory, and whether the attacker is cut.

One LoadWeaver on one core. On the other one an honest client at a constant rate, its origin, and an attacker who gets
what they leave of the core, and who comes back at once when he is cut. See bench/README.md.
"""

import argparse
import json
import os
import sys
import threading
import time
import urllib.request
from statistics import median

from . import cli, proxies
from .procs import LOAD_CORE, PROXY_CORE, BenchError, Child, prepare, resident_bytes, wait_for_answer
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
# With a p90 of a spell alone that is so much above the least one the machine was elsewhere, and the round does not count,
CALM = 1.3
# unless so many times the rounds have not brought enough calm ones.
TRIES = 2
# What is told of latencies.
MARKS = ("p50", "p90", "p99")

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
                while len(rounds) < args.rounds or (len(rounds) < TRIES * args.rounds and calm(rounds) < args.rounds):
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
        origin, (server,) = self.bench.start_origin(1, 128, realtime=True)
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
        child = Child("loadweaver", argv, PROXY_CORE, os.path.join(setup.directory, "loadweaver.log"), realtime=True)
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
            # The machine's speed moves within minutes: spells of the same length on both sides of the attack.
            "alone": [before["latency"], after["latency"]],
            "attacked": [during["latency"]],
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
            "--watch", f"proxy={proxy.pid}", "--watch", f"honest={origin.pid}",
        ]  # fmt: skip
        log = os.path.join(self.bench.directory, "load.log")
        with Child("load", argv, LOAD_CORE, log, pipe=True, realtime=True) as load:
            raw = load.read_json(seconds + 60)
        # Answers with a status of our own making are among them.
        errors = sum(raw["errors"].values())
        return {
            "latency": raw["latency_us"],
            "errors": errors,
            "rate": raw["requests"] / raw["seconds"],
            "use": raw["watch"]["proxy"]["cpu_ns"] / 1e9 / raw["seconds"],
        }

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


def told(spells, mark):
    """In µs. A spell in which the machine was elsewhere counts as much as any other, and no more."""
    return median(latency[mark] for latency in spells)


def ratio(result, mark="p99"):
    return told(result["attacked"], mark) / told(result["alone"], mark)


def unrest(result):
    """How much of the machine was elsewhere while there was no attack, by the p90 of the worse spell in µs."""
    return max(latency["p90"] for latency in result["alone"])


def calm(rounds):
    """How many rounds were."""
    least = min(latency["p90"] for result in rounds for latency in result["alone"])
    return sum(unrest(result) <= CALM * least for result in rounds)


def calmest(rounds, count):
    """What counts; who attacked how has no say in that."""
    return sorted(rounds, key=unrest)[:count]


def of_rounds(rounds):
    """All rounds as one: each spell's latencies, all counts, the most memory, each round's ratio."""
    return {
        "alone": [latency for result in rounds for latency in result["alone"]],
        "attacked": [latency for result in rounds for latency in result["attacked"]],
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
        f"{mark} {'/'.join(f'{latency[mark]:,.0f}' for latency in result['alone'])} → "
        f"{told(result['attacked'], mark):,.0f} µs ({ratio(result, mark):.2f})"
        for mark in MARKS
    )
    return (
        f"{name}: {marks}, {result['errors']} errors, {result['rate']:.0f}/s, core {result['use']:.0%}, "
        f"MiB {'/'.join(map(mib, result['resident']))}, {result['attacker']}, cut {result['cuts']} {result['attacks']}"
    )


def table(args, results):
    lines = [
        f"Commit {cli.commit()}, {time.strftime('%Y-%m-%d')}, {cli.cpu_model()}, {os.cpu_count()} cores. "
        f"{args.rounds} × {args.seconds:g} s of each; {args.rate:,.0f} requests/s on {CONNECTIONS} connections of others. "
        "In µs, alone → attacked, medians of the rounds; in brackets the least and the largest ratio of a round.",
        "",
        "| attack | others' p50 | p90 | p99 | its ratio | errors | core used "
        "| attacker's connections/s | cut | told as | MiB before | peak | after |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|",
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
            f"| {result['connects'] / args.seconds / args.rounds:,.0f} | {result['cut']:,} | {names} | {resident} |"
        )
    return lines
