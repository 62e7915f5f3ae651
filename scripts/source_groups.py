#!/usr/bin/env python3
"""Puts sources that can be read as one translation unit into groups, for cmake/together.cmake and clang_tidy.py.

usage: source_groups.py FILE.cpp …

Most of what a compiler without optimisation does for a file, and all that clang-tidy does, is reading the headers that
its neighbours read too. Sources of one folder that are compiled alike and whose unnamed namespaces do not name the same
thing are therefore read together. The names are guessed from the text: clang_tidy.py looks again, file by file, at a
group that does not compile. Prints "GROUP FILE" for each file, in order.
"""
import os
import re
import sys

GROUP_MAX = 6
ANONYMOUS = re.compile(r"^namespace \{\n(?:(.*)\n\}$|(.*?)^\}  // namespace$)", re.MULTILINE | re.DOTALL)
DECLARATION = re.compile(r"^[A-Za-z_\[].*?(?=[(={;]|$)", re.MULTILINE)
LAST_NAME = re.compile(r"(\w+)(?:\[\w*\])?\s*$")
ALIAS = re.compile(r"^\s*using (?:[\w:]*::)?(\w+);", re.MULTILINE)


def private_names(text):
    """What the unnamed namespaces of a source define, its own shorthands included; too many rather than too few."""
    names = set()
    for found in ANONYMOUS.finditer(text):
        for declaration in DECLARATION.findall(found[1] or found[2]):
            name = LAST_NAME.search(declaration)
            if name and not name[1].isupper() and not declaration.startswith("using "):
                names.add(name[1])
    return names


def flags_of(command):
    """The compiler's arguments without the program, the source and the object; for clang-tidy after "--"."""
    words = command.split()[1:]
    while words and not words[0].startswith("-"):  # a launcher stands before the compiler
        words.pop(0)
    kept, skip = [], False
    for word in words:
        if skip or word in ("-c", "-o"):
            skip = word == "-o"
            continue
        kept.append(word)
    return [word.replace('\\"', '"') for word in kept if not word.endswith((".cpp", ".o"))]


class Group:
    """Sources to be looked at together, and how they are compiled."""

    def __init__(self, folder, flags):
        self.folder, self.flags = folder, flags
        self.paths, self.names, self.aliases = [], set(), set()

    def takes(self, names, aliases):
        apart = self.names.isdisjoint(names | aliases) and self.aliases.isdisjoint(names)
        return len(self.paths) < GROUP_MAX and apart

    def add(self, path, names, aliases):
        self.paths.append(path)
        self.names |= names
        self.aliases |= aliases


def groups_of(paths, commands, text_of):
    """Every path in exactly one group; commands: by path; text_of: the text of a path."""
    found = {}
    for path in paths:
        flags = flags_of(commands[path])
        text = text_of(path)
        names, aliases = private_names(text), set(ALIAS.findall(text))
        alike = found.setdefault((os.path.dirname(path), tuple(flags)), [])
        group = next((one for one in alike if one.takes(names, aliases)), None)
        if group is None:
            group = Group(os.path.dirname(path), flags)
            alike.append(group)
        group.add(path, names, aliases)
    return [group for alike in found.values() for group in alike]


def main():
    def text_of(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    paths = sys.argv[1:]
    for number, group in enumerate(groups_of(paths, dict.fromkeys(paths, ""), text_of)):
        for path in group.paths:
            print(number, path)


if __name__ == "__main__":
    main()
