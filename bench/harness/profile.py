"""Where a proxy's CPU time goes in one scenario: symbols by perf, system calls per request by tracepoints."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

from . import cli, proxies
from .procs import BenchError, prepare
from .scenarios import BY_NAME
from .turn import Bench, Contestant


def arguments():
    parser = argparse.ArgumentParser(prog="bench/profile", description=__doc__)
    parser.add_argument("scenario", choices=[name for name, s in BY_NAME.items() if s.kind in ("closed", "rate")])
    parser.add_argument("proxy", nargs="?", default="loadweaver", choices=list(proxies.ARGUMENTS))
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--lines", type=int, default=60)
    parser.add_argument("--callers", metavar="SYMBOL", help="who calls this symbol, as a tree")
    parser.add_argument("--loadweaver", metavar="PATH", help="the binary (default target/release/loadweaver)")
    parser.add_argument("--keep", metavar="FILE", help="keep perf's data here")
    return parser.parse_args()


def main():
    args = arguments()
    try:
        prepare()
        cli.build_tools()
        own = args.proxy == "loadweaver" and args.loadweaver
        binary = args.loadweaver if own else proxies.find_binary(args.proxy, cli.ROOT)
        if not binary:
            raise BenchError(f"{args.proxy}: {proxies.HOW_TO_GET[args.proxy]}")
        bench = Bench(cli.ROOT, {args.proxy: binary}, args.seconds, 1.0, False)
        try:
            profile(args, bench)
        finally:
            bench.close()
    except BenchError as error:
        sys.exit(f"bench: {error}")


def profile(args, bench):
    scenario = BY_NAME[args.scenario]
    data = args.keep or tempfile.mkstemp(prefix="loadweaver-perf-")[1]
    for step in (_record, _count):
        with Contestant(bench, scenario, args.proxy) as contestant:
            pids = ",".join(map(str, contestant.pids))
            side = threading.Thread(target=step, args=(args, pids, data), daemon=True)
            side.start()
            figures = contestant.turn(args.rate)
            side.join()
        if step is _record:
            print(f"{args.proxy}, {scenario.name}: {figures['cpu_us']:.2f} µs CPU a request while recorded, "
                  f"{figures['rate']:,.0f} requests/s, {figures['errors']} errors\n")  # fmt: skip
            _print_record(args, data, figures["cpu_us"])
        else:
            _print_count(args, figures["rate"])
    if not args.keep:
        os.unlink(data)


def _record(args, pids, data):
    time.sleep(1.5)
    subprocess.run(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-g", "-o", data, "-p", pids,
         "--", "sleep", str(args.seconds - 1)],
        check=False, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _print_record(args, data, cpu_us):
    def report(*more):
        argv = ["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none", *more]
        text = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]

    print("by object (share, µs a request):")
    for line in report("--sort", "dso")[:8]:
        share = float(line.split("%")[0])
        print(f"  {share:6.2f} %  {share * cpu_us / 100:6.2f}  {line.split('%', 1)[1].strip()}")
    print("\nby symbol (share, µs a request):")
    for line in report("--sort", "dso,symbol")[: args.lines]:
        share = float(line.split("%")[0])
        print(f"  {share:6.2f} %  {share * cpu_us / 100:6.2f}  {line.split('%', 1)[1].strip()}")
    if args.callers:
        argv = ["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "caller,0.5", "-S", args.callers]
        print(subprocess.run(argv, capture_output=True, text=True, check=False).stdout)


_COUNTS = {}


def _count(args, pids, _data):
    time.sleep(1.5)
    seconds = args.seconds - 1
    result = subprocess.run(
        ["perf", "stat", "-x", ",", "-e", "syscalls:sys_enter_*", "-p", pids, "--", "sleep", str(seconds)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    for line in result.stderr.splitlines():
        match = re.match(r"(\d+),,syscalls:sys_enter_(\w+)", line)
        if match and int(match.group(1)):
            _COUNTS[match.group(2)] = int(match.group(1)) / seconds


def _print_count(_args, rate):
    print("\nsystem calls a request (counted in a second run):")
    for name, per_second in sorted(_COUNTS.items(), key=lambda item: -item[1]):
        if per_second / rate >= 0.0005:
            print(f"  {per_second / rate:8.3f}  {name}")
