#!/usr/bin/env python3
"""Runs a command and fails when a process that it started, directly or not, is still there five seconds after its end.

usage: no_one_left.py COMMAND [ARGUMENT ...]

What is left is named, then killed. This process adopts every orphan below it, so that one that left its process group
or its session is found too.
"""
import ctypes
import os
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
PATIENCE_S = 5.0


def children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def reap():
    """Collects the ended; returns those that still run."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return []
    return children()


def name_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()[:200]
    except OSError:
        return "?"


def main():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    code = child.wait()
    code = 128 - code if code < 0 else code

    deadline = time.monotonic() + PATIENCE_S
    while (left := reap()) and time.monotonic() < deadline:
        time.sleep(0.05)
    while left:
        for pid in left:
            print(f"left running: {pid} {name_of(pid)}", file=sys.stderr)
            os.kill(pid, signal.SIGKILL)
        code = code or 1
        time.sleep(0.1)
        left = reap()
    return code


if __name__ == "__main__":
    sys.exit(main())
