#!/usr/bin/env python3
"""Runs clang-tidy over our own sources, in parallel, and remembers what was clean.

usage: clang_tidy.py --build FOLDER [--all-checks] [FILE.cpp ...]

Without files: every .cpp of src/ and tests/ that the build knows. The checks are those that .clang-tidy names as
errors; with --all-checks all that it names, and every warning counts. A file is looked at again when its text, a header
of ours that it includes, its compile command, .clang-tidy or clang-tidy itself has changed.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TIDY = "clang-tidy-19"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def errors_of(config_text):
    """The list under WarningsAsErrors in .clang-tidy, as one string."""
    match = re.search(r"^WarningsAsErrors: >-\n((?:[ ]+.*\n)+)", config_text, re.MULTILINE)
    return "".join(match.group(1).split())


class Sources:
    """Reads our files once and knows which of ours each one includes, directly or not."""

    def __init__(self):
        self.texts = {}
        self.closures = {}

    def text(self, path):
        if path not in self.texts:
            with open(path, encoding="utf-8", errors="replace") as file:
                self.texts[path] = file.read()
        return self.texts[path]

    def included(self, path):
        found = []
        for name in INCLUDE.findall(self.text(path)):
            for folder in (os.path.join(ROOT, "src"), os.path.join(ROOT, "tests"), os.path.dirname(path)):
                candidate = os.path.normpath(os.path.join(folder, name))
                if os.path.isfile(candidate):
                    found.append(candidate)
                    break
        return found

    def closure(self, path):
        seen, todo = set(), [path]
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                todo.extend(self.included(current))
        return sorted(seen)


def key_of(path, command, salt, sources):
    digest = hashlib.sha256(salt)
    digest.update(command.encode())
    for part in sources.closure(path):
        digest.update(os.path.relpath(part, ROOT).encode() + b"\0")
        digest.update(sources.text(part).encode())
    return digest.hexdigest()


def look_at(path, build, checks, all_checks):
    """The text of what clang-tidy finds in one file; empty when it is clean."""
    command = [TIDY, "-p", build, "--quiet"]
    if not all_checks:
        command.append("--checks=-*," + checks)
    done = subprocess.run(command + [path], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0 or (all_checks and "warning:" in done.stdout):
        return done.stdout + "".join(line for line in done.stderr.splitlines(True) if "error" in line)
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--all-checks", action="store_true")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()

    with open(os.path.join(options.build, "compile_commands.json"), encoding="utf-8") as file:
        commands = {os.path.realpath(entry["file"]): entry["command"] for entry in json.load(file)}
    ours = [path for path in sorted(commands) if path.startswith((ROOT + "/src/", ROOT + "/tests/"))]
    if options.files:
        chosen = {os.path.realpath(path) for path in options.files}
        ours = [path for path in ours if path in chosen]

    with open(os.path.join(ROOT, ".clang-tidy"), encoding="utf-8") as file:
        config = file.read()
    checks = "all" if options.all_checks else errors_of(config)
    version = subprocess.run([TIDY, "--version"], capture_output=True, text=True, check=True).stdout
    salt = "\0".join((config, checks, version)).encode()
    cache = os.path.join(ROOT, "build", "clang-tidy")
    os.makedirs(cache, exist_ok=True)

    sources = Sources()
    todo = {}
    for path in ours:
        mark = os.path.join(cache, key_of(path, commands[path], salt, sources))
        if not os.path.exists(mark):
            todo[path] = mark

    bad = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as threads:
        running = {threads.submit(look_at, path, options.build, checks, options.all_checks): path for path in todo}
        for number, future in enumerate(concurrent.futures.as_completed(running), 1):
            path, found = running[future], future.result()
            print(f"[{number}/{len(todo)}] {os.path.relpath(path, ROOT)}", flush=True)
            if found:
                bad += 1
                print(found, flush=True)
            else:
                with open(todo[path], "w", encoding="utf-8"):
                    pass
    print(f"clang-tidy: {len(ours)} files, {len(todo)} looked at, {bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
