#!/usr/bin/env python3
"""Runs clang-tidy over our own sources, in parallel, and remembers what was clean.

usage: clang_tidy.py --build FOLDER [--all-checks] [FILE.cpp ...]

Without files: every .cpp of src/ and tests/ that the build knows, also those that it reads together. The checks are
those that .clang-tidy names as errors; with --all-checks all that it names, and every warning counts. A file is looked
at again when its text, a header of ours that it includes, its compile command, .clang-tidy or clang-tidy itself has
changed.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys

import source_groups

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


def commands_of(build):
    """How each source is compiled, by its path. What is compiled together has the command of its group's file."""
    commands = {}
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    for entry in entries:
        path = os.path.realpath(entry["file"])
        together = []
        if f"{os.sep}Unity{os.sep}" in path:
            with open(path, encoding="utf-8") as file:
                together = [os.path.realpath(name) for name in INCLUDE.findall(file.read())]
        for one in together or [path]:
            commands[one] = entry["command"]
    return commands


def key_of(path, command, salt, sources):
    digest = hashlib.sha256(salt)
    digest.update(command.encode())
    for part in sources.closure(path):
        digest.update(os.path.relpath(part, ROOT).encode() + b"\0")
        digest.update(sources.text(part).encode())
    return digest.hexdigest()


class Tidy:
    """Runs clang-tidy with the chosen checks."""

    def __init__(self, build, checks, all_checks):
        self.build, self.all_checks = os.path.abspath(build), all_checks
        self.choice = [] if all_checks else ["--checks=-*," + checks]

    def look_at(self, path, flags):
        """The text of what is found in one file that is compiled with these flags; empty when it is clean."""
        command = [TIDY, "--quiet", *self.choice, path, "--", *flags]
        done = subprocess.run(command, cwd=self.build, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0 or (self.all_checks and "warning:" in done.stdout):
            return done.stdout + "".join(line for line in done.stderr.splitlines(True) if "error" in line)
        return ""

    def look_at_group(self, group, name):
        """For each path of the group what is found in it. The group's own file is made as NAME."""
        if len(group.paths) > 1:
            with open(name, "w", encoding="utf-8") as file:
                file.writelines(f'#include "{path}"\n' for path in group.paths)
            if not self.look_at(name, [*group.flags, "-I" + group.folder]):
                return dict.fromkeys(group.paths, "")
        return {path: self.look_at(path, group.flags) for path in group.paths}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--all-checks", action="store_true")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()

    commands = commands_of(options.build)
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

    tidy = Tidy(options.build, checks, options.all_checks)
    groups = source_groups.groups_of(todo, commands, sources.text)
    bad = seen = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as threads:
        running = [threads.submit(tidy.look_at_group, group, os.path.join(cache, f"group-{number}.cpp"))
                   for number, group in enumerate(groups)]
        for future in concurrent.futures.as_completed(running):
            for path, found in future.result().items():
                seen += 1
                print(f"[{seen}/{len(todo)}] {os.path.relpath(path, ROOT)}", flush=True)
                if found:
                    bad += 1
                    print(found, flush=True)
                else:
                    with open(todo[path], "w", encoding="utf-8"):
                        pass
    print(f"clang-tidy: {len(ours)} files, {len(todo)} looked at in {len(groups)} groups, {bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
