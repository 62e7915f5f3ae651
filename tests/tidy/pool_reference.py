#!/usr/bin/env python3
"""The reference in docs/pool.md is what the installed headers of opi::pg say; --write brings it up to date.

Without arguments it fails when a public name, its shape or its contract in a header differs from the page.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PAGE = os.path.join(ROOT, "docs", "pool.md")
MARK = "<!-- From here on written by tests/tidy/pool_reference.py --write, from the headers. -->\n"


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def installed_headers():
    """The entries that cmake/install_headers.cmake names, and what they include."""
    entries = re.search(r"set\(opi_pg_entries\s+([^)]*)\)", read("cmake/install_headers.cmake"))[1].split()
    queue, taken = list(entries), []
    while queue:
        header = queue.pop(0)
        if header not in taken:
            taken.append(header)
            queue += re.findall(r'^#include "([^"]+)"', read("src/" + header), re.M)
    return sorted(taken, key=lambda name: (["pg", "aio", "base"].index(name.split("/")[0]), name))


class Scope:
    def __init__(self, kind, name, public):
        self.kind, self.name, self.public = kind, name, public


class Entry:
    """A public name: its declaration, its contract, and those within it."""

    def __init__(self, shape, doc, level):
        self.shape, self.doc, self.level = shape, doc, level


def tidy_shape(text):
    """A declaration on one line, without its body, its initialisers and what only the compiler wants."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\[\[nodiscard\]\] ?", "", text)
    text = re.sub(r"(\)(?: const)?(?: noexcept)?) : \w.*$", r"\1", text)  # a constructor's initialisers
    return text.replace("( ", "(").strip()


class Header:
    """A walk through one header, which is formatted by clang-format."""

    def __init__(self, path):
        self.text = read("src/" + path)
        self.entries, self.scopes = [], [Scope("file", "", True)]
        self.doc, self.last = [], None
        self.purpose = " ".join(re.findall(r"^/// (?!@file)(.*)", self.text.split("#include")[0], re.M))
        body = self.text[self.text.index("namespace opi"):]
        self.walk(body)

    def visible(self):
        return all(scope.public and scope.kind != "hidden" for scope in self.scopes)

    def level(self):
        return sum(scope.kind in ("class", "enum") for scope in self.scopes)

    def add(self, shape, defines_type=False):
        shape = tidy_shape(shape)
        doc, self.doc = re.sub(r" +", " ", " ".join(self.doc)), []
        self.last = None
        skipped = ("friend ", "template class ", "static_assert")
        if "(" in shape and re.search(r"\b[A-Z]\w*::[~\w]+$", shape.split("(")[0]):  # a member, defined after its class
            return
        if not shape or shape.startswith(skipped) or shape.endswith("= delete") or not self.visible():
            return
        if not defines_type and re.fullmatch(r"(?:class|struct) [\w:]+", shape):  # declared here, defined elsewhere
            return
        self.last = Entry(shape, doc, self.level())
        self.entries.append(self.last)

    def open(self, head):
        """What a `{` begins; None for a body or an initialiser that is skipped."""
        head = re.sub(r"\s+", " ", head).strip()
        if match := re.match(r"(?:inline )?namespace ?([\w:]*)$", head):
            self.doc = []
            return Scope("namespace", match[1], True)
        if match := re.match(r"enum class (\w+)", head):
            self.add(head, defines_type=True)
            return Scope("enum", match[1], self.visible())
        match = re.match(r"(?:template <.*?> )?(class|struct) (?:\[\[\w+\]\] )?([\w:]+)(?:<.*>)?(?: final)?(?: : .*)?$", head)
        if match:
            # The inside of a class, written after it; or somebody else's template, for a type of ours.
            visible = self.visible() and "::" not in match[2]
            if visible:
                self.add(head, defines_type=True)
            return Scope("class" if visible else "hidden", match[2], match[1] == "struct")
        return None

    def walk(self, text):
        at, pending, depth = 0, "", 0
        while at < len(text):
            char = text[at]
            if text.startswith("//", at):
                end = text.find("\n", at)
                line = text[at:end]
                self.comment(line, pending)
                at = end
                continue
            if char == "#" and text[at - 1] == "\n":
                at = text.find("\n", at)
                continue
            if char in "\"'" and not (char == "'" and text[at - 1].isalnum()):
                end = at + 1
                while text[end] != char:
                    end += 2 if text[end] == "\\" else 1
                pending += text[at:end + 1]
                at = end + 1
                continue
            at += 1
            if char in "([":
                depth += 1
            elif char in ")]":
                depth -= 1
            if depth == 0 and char == "{":
                at, pending = self.brace(text, at, pending)
            elif depth == 0 and char == "}":
                if self.scopes[-1].kind == "enum":
                    self.add(pending)
                self.scopes.pop()
                pending, self.doc = "", []
            elif depth == 0 and (char == ";" or char == "," and self.scopes[-1].kind == "enum"):
                self.add(pending)
                pending = ""
            elif char == ":" and depth == 0 and pending.strip() in ("public", "private", "protected"):
                self.scopes[-1].public = pending.strip() == "public"
                pending, self.doc = "", []
            else:
                pending += char

    def brace(self, text, at, pending):
        """After a `{`: the next position, and what is pending there."""
        scope = self.open(pending)
        if scope:
            self.scopes.append(scope)
            return at, ""
        depth, begin = 1, at
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        head = pending.strip()
        is_body = ")" in head and not re.search(r"= *$|\w+ *$", re.sub(r"\b(const|noexcept|override)\b", "", head))
        if is_body or " operator" in head:
            self.add(head)
            return at, ""
        return at, pending + "{" + text[begin:at - 1] + "}"

    def comment(self, line, pending):
        if line.startswith("///<"):
            target = self.last if not pending.strip() else None
            if target is None:  # the comma or the brace comes later
                self.doc.append(line[4:].strip())
            else:
                target.doc = (target.doc + " " + line[4:].strip()).strip()
        elif line.startswith("///"):
            self.doc.append(line[3:].strip())


def page_of(headers):
    lines = []
    for path in headers:
        if path.endswith("_impl.hpp"):
            continue
        header = Header(path)
        lines.append(f"\n### {path}\n\n{header.purpose}")
        if not header.entries[0].shape.startswith(("class ", "struct ", "enum class ")):
            lines.append("")
        for entry in header.entries:
            is_type = re.match(r"(?:template <.*> )?(?:class|struct|enum class) ", entry.shape)
            if entry.level == 0 and is_type:
                lines.append(f"\n#### `{entry.shape}`\n" + (f"\n{entry.doc}\n" if entry.doc else ""))
                continue
            doc = f": {entry.doc}" if entry.doc else ""
            lines.append(f"{'  ' * max(entry.level - 1, 0)}- `{entry.shape}`{doc}")
    return "\n".join(lines) + "\n"


def expected(page):
    return page[:page.index(MARK)] + MARK + page_of(installed_headers())


def broken():
    """(path, what to do) of everything that is wrong; for tidy.py."""
    page = read("docs/pool.md")
    if MARK not in page:
        return [("docs/pool.md", "the mark above the reference is missing")]
    old, new = page.split("\n"), expected(page).split("\n")
    if old == new:
        return []
    differs = [line for line in new if line not in set(old)] + [line for line in old if line not in set(new)]
    first = differs[0][:100] if differs else "its order"
    return [("docs/pool.md", f"differs from the headers ({first}); run tests/tidy/pool_reference.py --write")]


def main():
    if sys.argv[1:] == ["--write"]:
        text = expected(read("docs/pool.md"))
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(text)
        return 0
    for path, instead in broken():
        print(f"{path}: {instead}")
    return 1 if broken() else 0


if __name__ == "__main__":
    sys.exit(main())
