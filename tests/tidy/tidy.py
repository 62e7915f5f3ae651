#!/usr/bin/env python3
"""House rules as a test: prints `file:line: rule: what to do instead` for everything that breaks one, and fails.

usage: tidy.py [PATH ...]    without paths: every file that Git tracks or would add
"""
import os
import subprocess
import sys

import pool_reference
import pool_scenarios
import rooms
import rules

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
# Here the forbidden words are written down, and bad examples of every rule.
EXEMPT = ("tests/tidy/",)
FOREIGN = (".json", ".lock", ".gz", ".png", ".svg", ".age", ".bin")


def tracked():
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return sorted({name.decode() for name in listed.split(b"\0") if name})


def load(path):
    """A File, or None for what is no text."""
    try:
        with open(os.path.join(ROOT, path), "rb") as file:
            data = file.read()
    except (FileNotFoundError, IsADirectoryError):
        return None
    if b"\0" in data:
        return None
    return rules.File(path, data.decode("utf-8", "replace"))


def broken(files):
    """(path, line, rule, instead) of everything that breaks a rule."""
    excepted = set()
    for file in files:
        if file.path.endswith(FOREIGN):
            continue
        for rule in rules.RULES:
            for line, name, instead in rule(file):
                if (name, file.path) in rooms.EXCEPTIONS:
                    excepted.add((name, file.path))
                else:
                    yield file.path, line, name, instead
    yield from rules.of_tree(files)
    for name, path in sorted(set(rooms.EXCEPTIONS) - excepted):
        yield "tests/tidy/rooms.py", 1, "exception", f"{path} no longer breaks {name}; take the exception away"


def main():
    chosen = [os.path.relpath(os.path.realpath(path), ROOT) for path in sys.argv[1:]]
    files = [file for path in tracked() if not path.startswith(EXEMPT) and (file := load(path))]
    count = 0
    for path, line, name, instead in broken(files):
        if not chosen or path in chosen or path.startswith(tuple(each + "/" for each in chosen)):
            print(f"{path}:{line}: {name}: {instead}")
            count += 1
    for path, instead in [] if chosen else [*pool_scenarios.broken(), *pool_reference.broken()]:
        print(f"{path}:1: pool-pages: {instead}")
        count += 1
    print(f"{len(files)} files, {count} broken rules")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
