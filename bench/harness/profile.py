"""Where a proxy's CPU time goes in one scenario: symbols by perf, system calls per request by tracepoints."""

import argparse
import os
import signal
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
    with Contestant(bench, scenario, args.proxy) as contestant:
        contestant.warm_up()
        side = threading.Thread(target=_record, args=(args, contestant, data), daemon=True)
        side.start()
        figures = contestant.turn(args.rate)
        side.join()
        print(f"{args.proxy}, {scenario.name}: {figures['cpu_us']:.2f} µs CPU a request while recorded, "
              f"{figures['rate']:,.0f} requests/s, {figures['errors']} errors\n")  # fmt: skip
        _print_record(args, data, figures["cpu_us"])
        _count(contestant, int(figures["rate"] * 2))
    if not args.keep:
        os.unlink(data)


def _record(args, contestant, data):
    time.sleep(1.5)
    subprocess.run(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-g", "-o", data,
         "-p", ",".join(map(str, contestant.pids)), "--", "sleep", str(args.seconds - 1)],
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


def _count(contestant, requests):
    """System calls of a run of so many requests; counting slows the proxy, so nothing is timed here."""
    counting = subprocess.Popen(
        ["perf", "stat", "-x", ",", "-e", "syscalls:sys_enter_*", "-p", ",".join(map(str, contestant.pids))],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(2)  # several hundred tracepoints are opened one by one
    contestant.load(contestant.load_argv("--requests", str(requests)), 120)
    counting.send_signal(signal.SIGINT)
    _, text = counting.communicate(timeout=30)
    counts = {}
    for line in text.splitlines():
        fields = line.split(",")  # count, unit, event, …
        if len(fields) > 2 and fields[0].isdigit():
            counts[fields[2].removeprefix("syscalls:sys_enter_")] = int(fields[0]) / requests
    print("\nsystem calls a request (counted in a second run):")
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        if count >= 0.0005:
            print(f"  {count:8.3f}  {name}")
