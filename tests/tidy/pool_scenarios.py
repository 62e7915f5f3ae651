#!/usr/bin/env python3
"""docs/pool-scenarios.md against the tests: every scenario has its row, every test it names is there and carries its
number, and every test that carries a number is named in that row; the tests that the rules name are there. --write
fills the column of the scenarios' tests in."""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PAGE = os.path.join(ROOT, "docs", "pool-scenarios.md")
TEST = re.compile(r"\bTEST(?:_F|_P)?\(\s*\w+\s*,\s*(\w+)\s*\)")
ROW = re.compile(r"^\| (\d+) \| (.*?) \| (.*?) \|$")
RULE = re.compile(r"^\| R(\d+) \| (.*?) \| (.*?) \|$")
LAST = 100
RULES = 31
WITHOUT = ("does not apply: ", "open: ")


def numbers_of(name):
    """Of PoolScenario14_AndScenario16_Something: 14 and 16."""
    return {int(number) for number in re.findall(r"(?:Pool|And)Scenario(\d+)", name)}


def tests():
    """Name of a test -> its file; the names of all programs together."""
    found = {}
    for path in glob.glob(os.path.join(ROOT, "tests", "**", "*.cpp"), recursive=True):
        with open(path, encoding="utf-8") as file:
            for name in TEST.findall(file.read()):
                found[name] = os.path.relpath(path, ROOT)
    return found


def shown(name):
    """Without the words that the row says already."""
    return "`" + re.sub(r"^PoolScenario\d+_(?:AndScenario\d+_)*", "", name) + "`"


def rule_problems(page, found):
    known = {shown(name) for name in found}
    rules = {}
    for line in page.split("\n"):
        if row := RULE.match(line):
            rules[int(row[1])] = set(re.findall(r"`[^`]+`", row[3]))
    for number in range(1, RULES + 1):
        if not rules.get(number):
            yield f"rule {number} names no test"
        for name in sorted(rules.get(number, set()) - known):
            yield f"rule {number} names {name}, which is no test"


def problems(page, found):
    yield from rule_problems(page, found)
    by_number = {}
    for name in found:
        for number in numbers_of(name):
            by_number.setdefault(number, set()).add(shown(name))
    rows = {}
    for line in page.split("\n"):
        if row := ROW.match(line):
            rows[int(row[1])] = (row[2], row[3])
    for number in range(1, LAST + 1):
        if number not in rows:
            yield f"scenario {number} has no row"
            continue
        _, column = rows[number]
        named = set(re.findall(r"`[^`]+`", column))
        there = by_number.get(number, set())
        for name in sorted(named - there):
            yield f"scenario {number} names {name}, and no test PoolScenario{number:02}_… is called so"
        for name in sorted(there - named):
            yield f"scenario {number} does not name {name}; run {os.path.relpath(__file__, ROOT)} --write"
        if not there and not column.startswith(WITHOUT):
            yield f"scenario {number} has no test; write one, or \"does not apply: \" and why"
    for number in sorted(set(by_number) - set(range(1, LAST + 1))):
        yield f"there is no scenario {number}"


def write(page, found):
    lines = []
    for line in page.split("\n"):
        if row := ROW.match(line):
            names = sorted(shown(name) for name in found if int(row[1]) in numbers_of(name))
            column = ", ".join(names) if names else row[3] if row[3].startswith(WITHOUT) else ""
            line = f"| {row[1]} | {row[2]} | {column} |"
        lines.append(line)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def page_text():
    with open(PAGE, encoding="utf-8") as file:
        return file.read()


def broken():
    """(path, what to do) of everything that is wrong; for tidy.py."""
    return [("docs/pool-scenarios.md", problem) for problem in problems(page_text(), tests())]


def main():
    found = tests()
    if sys.argv[1:] == ["--write"]:
        write(page_text(), found)
        return 0
    wrong = broken()
    for path, problem in wrong:
        print(f"{path}: {problem}")
    print(f"{sum(bool(numbers_of(name)) for name in found)} tests carry a number, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
