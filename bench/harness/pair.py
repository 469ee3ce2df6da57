"""Binaries of ours in turns, small answers on kept connections: what a change costs.

All of them run from the beginning, on one core; the load and its origin are on the other one. In each round each has a
turn, in an order drawn anew, and is held against the first within its round: what the machine does for longer than a
round it does to all. See bench/README.md.
"""

import argparse
import json
import os
import random
import statistics
import sys
import threading
import urllib.request

from . import cli, proxies
from .procs import LOAD_CORE, PROXY_CORE, BenchError, Child, prepare, wait_for_answer
from .turn import Bench

# What an open dashboard asks for, once a second.
POLLED = ("metrics", "history", "servers", "events")


def arguments():
    parser = argparse.ArgumentParser(prog="bench/pair", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("binaries", nargs="+", metavar="NAME=PATH", help="the first is what the others are held against")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn")
    parser.add_argument("--watched", action="append", default=[], metavar="NAME", help="with a dashboard open on it")
    args = parser.parse_args()
    args.binaries = dict(each.split("=", 1) for each in args.binaries if "=" in each)
    if len(args.binaries) < 2 or not set(args.watched) <= set(args.binaries):
        parser.error("at least two NAME=PATH, and --watched names one of them")
    return args


def main():
    args = arguments()
    try:
        prepare()
        cli.build_tools()
        bench = Bench(cli.ROOT, {}, args.seconds, 0.3, False)
        try:
            rounds = Pair(args, bench).run()
        finally:
            bench.close()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    print("\n".join(table(args, rounds)))


class Pair:
    """All binaries, and one load."""

    def __init__(self, args, bench):
        self.args = args
        self.bench = bench

    def run(self):
        origin, servers = self.bench.start_origin(2, 128)
        with origin:
            contestants = {name: self._start(name, path, servers) for name, path in self.args.binaries.items()}
            try:
                return [self._round(contestants) for _ in range(self.args.rounds)]
            finally:
                for proxy, _ in contestants.values():
                    proxy.stop()

    def _start(self, name, path, servers):
        setup = proxies.Setup(servers, self.bench.directory)
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": f"127.0.0.1:{setup.port}"}},
            "pools": {"app": {"servers": [{"host": host, "port": port} for host, port in servers]}},
            "admin": {"bind": f"127.0.0.1:{setup.admin_port}"},
            "accessLog": {"output": "off"},
        }
        argv = [path, "run", "--config", setup.write(f"{name}.json", json.dumps(config, indent=1))]
        proxy = Child(name, argv, PROXY_CORE, os.path.join(setup.directory, f"{name}.log"))
        try:
            wait_for_answer(setup.port, proxy)
        except BenchError:
            proxy.stop()
            raise
        return proxy, setup

    def _round(self, contestants):
        names = list(contestants)
        random.shuffle(names)
        return {name: self._turn(name, *contestants[name]) for name in names}

    def _turn(self, name, proxy, setup):
        argv = [
            self.bench.load, "--target", f"127.0.0.1:{setup.port}", "--seconds", str(self.args.seconds),
            "--warmup", str(self.bench.warmup), "--watch", f"proxy={proxy.pid}",
        ]  # fmt: skip
        log = os.path.join(self.bench.directory, "load.log")
        with Dashboard(setup if name in self.args.watched else None), Child("load", argv, LOAD_CORE, log, pipe=True) as load:
            raw = load.read_json(self.args.seconds + 60)
        if sum(raw["errors"].values()):
            raise BenchError(f"{name}: {raw['errors']}")
        return raw["watch"]["proxy"]["cpu_ns"] / raw["requests"] / 1000


class Dashboard:
    """Asks for what an open dashboard asks for; without a setup nothing does."""

    def __init__(self, setup):
        self.setup = setup
        self._over = threading.Event()
        self._asker = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self):
        if self.setup:
            self._asker.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        if self.setup:
            self._asker.join()

    def _ask(self):
        while True:
            for part in POLLED:
                url = f"http://127.0.0.1:{self.setup.admin_port}/api/{part}"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    answer.read()
            if self._over.wait(1.0):
                return


def table(args, rounds):
    first = next(iter(args.binaries))
    lines = ["| binary | CPU µs a request, median | over the first, median of rounds | quartiles |", "|---|--:|--:|--:|"]
    for name in args.binaries:
        ratios = [each[name] / each[first] for each in rounds]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        lines.append(
            f"| {name}{', a dashboard open' if name in args.watched else ''} "
            f"| {statistics.median(each[name] for each in rounds):.2f} | {middle:.3f} | {low:.3f} to {high:.3f} |"
        )
    return lines
