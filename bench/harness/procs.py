"""Processes that the bench starts: pinned to a core, known by pid, and never left behind."""

import atexit
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

PROXY_CORE = 0
LOAD_CORE = 1
PR_SET_PDEATHSIG = 1

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIVE = []
_LOCK = []


class BenchError(Exception):
    """Something that makes a measurement impossible; the text says what to do."""


def prepare():
    """Raises the descriptor limit and makes sure that everything ends with this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    atexit.register(end_all)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    cores = os.sched_getaffinity(0)
    if not {PROXY_CORE, LOAD_CORE} <= cores:
        raise BenchError(f"needs cores {PROXY_CORE} and {LOAD_CORE}; this process may use {sorted(cores)}")
    take_the_machine()


def take_the_machine():
    """Waits until no other bench runs here: two would measure each other."""
    path = os.path.join(tempfile.gettempdir(), "loadweaver-bench.lock")
    _LOCK.append(open(path, "a", encoding="ascii"))  # kept until this process ends
    try:
        fcntl.flock(_LOCK[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another bench is running here: waiting for its end", file=sys.stderr, flush=True)
        fcntl.flock(_LOCK[0], fcntl.LOCK_EX)


def _interrupted(number, _frame):
    end_all()
    sys.exit(128 + number)


def _weigh(niceness):
    """Sets what this process weighs: with -20 80 times a plain one, a build beside the bench takes a percent, not half.

    Where the kernel groups processes by session (autogroup), the session's own weight is what counts: neither the
    niceness nor SCHED_IDLE of a process says anything beside those of other sessions.
    """
    os.setsid()
    try:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
        with open("/proc/self/autogroup", "w", encoding="ascii") as group:
            group.write(str(niceness))
    except OSError:
        pass  # not root, or no autogroups: the bench works, it is only easier to disturb


def _go_first(precedence):
    """Lets this process run as soon as it can, before whatever else is on its core but for what goes before it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(precedence))
    except OSError:
        pass  # not root: it waits for its turn


class SoftInterrupts:
    """The kernel's threads that deliver packets go before whoever has precedence, as they do where nobody has.

    Otherwise packets that were put off to them would wait until proxy, client and origin all sleep.
    """

    def __init__(self, precedence):
        self._precedence = precedence
        self._changed = []

    def __enter__(self):
        for core in (PROXY_CORE, LOAD_CORE):
            pid = _thread_named(f"ksoftirqd/{core}")
            try:
                if pid:
                    os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(self._precedence))
                    self._changed.append(pid)
            except OSError:
                pass  # not root: what has no precedence either does not hold it up
        return self

    def __exit__(self, *_):
        for pid in self._changed:
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


def _thread_named(name):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as comm:
                if comm.read().strip() == name:
                    return int(pid)
        except FileNotFoundError:
            pass
    return None


class Child:
    """One process that this bench started."""

    def __init__(self, name, argv, core, log, pipe=False, env=None, niceness=-20, realtime=0):
        def before_exec():
            # Even a SIGKILL of the harness takes its children along.
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.sched_setaffinity(0, {core})
            _weigh(niceness)
            if realtime:
                _go_first(realtime)

        self.name = name
        self.log_path = log
        self._log = open(log, "ab")  # closed in stop()
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if pipe else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else self._log,
            stderr=self._log,
            preexec_fn=before_exec,
            env=env,
        )
        _LIVE.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def pids(self):
        """This process and all its descendants (nginx's worker, for one)."""
        found, queue = [], [self.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            try:
                tasks = os.listdir(f"/proc/{pid}/task")
            except FileNotFoundError:
                continue
            for task in tasks:
                try:
                    with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                        queue.extend(int(child) for child in children.read().split())
                except FileNotFoundError:
                    pass
        return found

    def alive(self):
        return self.process.poll() is None

    def read_json(self, seconds):
        """One JSON line from the child's standard output."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise BenchError(f"{self.name} said nothing within {seconds:.0f} s; log:\n{self.tail()}")
        return json.loads(line)

    def ask(self, command, seconds=10):
        """Sends a line, reads the JSON answer."""
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.read_json(seconds)

    def tail(self, count=2000):
        with open(self.log_path, "rb") as log:
            return log.read()[-count:].decode(errors="replace")

    def stop(self, patience=3.0):
        """Asks, then kills; by pid."""
        if self in _LIVE:
            _LIVE.remove(self)
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        family = self.pids() if self.alive() else []
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in family[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process.stdout:
            self.process.stdout.close()
        self._log.close()


def end_all():
    for child in list(_LIVE):
        try:
            child.stop(patience=0.5)
        except OSError:
            pass


def free_port():
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def secured(plain, tls):
    """The connection itself, or TLS over it with whoever is there."""
    if not tls:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname="app.example.com")


def wait_for_answer(port, child, seconds=20.0, tls=False):
    """Returns once a GET through the proxy at `port` is answered with 200."""
    end = time.monotonic() + seconds
    last = "no try"
    while time.monotonic() < end:
        if not child.alive():
            raise BenchError(f"{child.name} ended at its start:\n{child.tail()}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as plain, secured(plain, tls) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n")
                last = client.recv(4096)
                if last.startswith(b"HTTP/1.1 200"):
                    return
        except OSError as error:
            last = error
        time.sleep(0.05)
    raise BenchError(f"{child.name} gave no 200 within {seconds:.0f} s ({last!r}):\n{child.tail()}")


def wait_for_port(port, child, seconds=20.0):
    """Returns once something listens at `port`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not child.alive():
            raise BenchError(f"{child.name} ended at its start:\n{child.tail()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"{child.name} does not listen:\n{child.tail()}")


def resident_bytes(pids):
    """Resident memory of the processes, exact (smaps), shared pages counted in each."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            for line in rollup:
                if line.startswith("Rss:"):
                    total += int(line.split()[1]) * 1024
    return total


def descriptors(pids):
    """Open descriptors of the processes."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
