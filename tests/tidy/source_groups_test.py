#!/usr/bin/env python3
"""Which sources are read together, and how clang-tidy knows them again."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "scripts"))
import clang_tidy  # noqa: E402
import source_groups  # noqa: E402


def source(inside):
    return f"namespace opi {{\nnamespace {{\n{inside}\n}}  // namespace\n}}  // namespace opi\n"


def grouped(texts, command="clang++ -O0 -c x.cpp -o x.o"):
    groups = source_groups.groups_of(sorted(texts), dict.fromkeys(texts, command), texts.__getitem__)
    return sorted(sorted(group.paths) for group in groups)


class Groups(unittest.TestCase):
    def test_neighbours_that_share_no_private_name_are_read_together(self):
        texts = {"/a/one.cpp": source("int f(int x) {\n  return x;\n}"), "/a/two.cpp": source("int g;")}
        self.assertEqual(grouped(texts), [["/a/one.cpp", "/a/two.cpp"]])

    def test_one_private_name_in_two_sources_keeps_them_apart(self):
        for text in ("int f() {", "constexpr auto f = 1;", "struct f {", "f_t f[2];", "Type f{1};"):
            texts = {"/a/one.cpp": source("void f(int x) {\n}"), "/a/two.cpp": source(text)}
            self.assertEqual(len(grouped(texts)), 2, text)

    def test_a_shorthand_for_what_another_defines_keeps_them_apart(self):
        texts = {"/a/one.cpp": source("int f;"), "/a/two.cpp": "using other::f;\n"}
        self.assertEqual(len(grouped(texts)), 2)

    def test_folders_are_kept_apart_and_groups_are_bounded(self):
        self.assertEqual(len(grouped({"/a/one.cpp": "", "/b/two.cpp": ""})), 2)
        many = {f"/a/{number:02}.cpp": "" for number in range(source_groups.GROUP_MAX + 1)}
        self.assertEqual([len(group) for group in grouped(many)], [source_groups.GROUP_MAX, 1])

    def test_flags_are_those_of_the_compiler_alone(self):
        command = "/usr/bin/env A=b ccache clang++ -DX=\\\"y\\\" -Isrc -o out/x.cpp.o -c /a/x.cpp"
        self.assertEqual(source_groups.flags_of(command), ['-DX="y"', "-Isrc"])

    def test_what_is_compiled_as_one_has_the_command_of_its_group(self):
        with tempfile.TemporaryDirectory() as build:
            folder = os.path.join(os.path.realpath(build), "x.dir", "Unity")
            os.makedirs(folder)
            together = os.path.join(folder, "unity_0_cxx.cxx")
            with open(together, "w", encoding="utf-8") as file:
                file.write('/* by CMake */\n#include "/a/one.cpp"\n#include "/a/two.cpp"\n')
            with open(os.path.join(build, "compile_commands.json"), "w", encoding="utf-8") as file:
                json.dump([{"file": together, "command": "c++ -DX -c unity"},
                           {"file": "/a/main.cpp", "command": "c++ -c main"}], file)
            self.assertEqual(clang_tidy.commands_of(build), {"/a/one.cpp": "c++ -DX -c unity",
                                                             "/a/two.cpp": "c++ -DX -c unity",
                                                             "/a/main.cpp": "c++ -c main"})


if __name__ == "__main__":
    unittest.main()
