#!/usr/bin/env python3
"""Every house rule is fed what it must find and what it must leave alone."""
import os
import re
import unittest

import cpp_source
import rooms
import rules
import tidy

HEADER = "#pragma once\n/// @file\n/// What it is for.\n"

# (rule, path, text): the rule must speak.
BAD = [
    ("room", "src/attic/box.cpp", "int x;\n"),
    ("room-includes", "src/base/clock.cpp", '#include "aio/gate.hpp"\n'),
    ("room-includes", "src/pg/pool.cpp", '#include "yaml/node.hpp"\n'),
    ("room-includes", "src/git/mirror.cpp", '#  include <pg/connection.hpp>\n'),
    ("room-includes", "src/pg/pool.cpp", '#include "opi_version.hpp"\n'),
    ("include-path", "src/pg/pool.cpp", '#include "pool.hpp"\n'),
    ("include-path", "src/pg/pool.cpp", '#include "../base/clock.hpp"\n'),
    ("library-room", "src/provision/manager.cpp", "#include <prometheus/counter.h>\n"),
    ("library-room", "src/http/server.cpp", "#include <spdlog/spdlog.h>\n"),
    ("library-room", "src/app/settings.cpp", "#include <CLI/CLI.hpp>\n"),
    ("heavy-header", "src/http/server.hpp", HEADER + "#include <boost/beast/http/parser.hpp>\n"),
    ("detached", "src/git/monitor.cpp", "co_spawn(executor, poll(), asio::detached);\n"),
    ("awaitable-operators", "src/git/monitor.cpp", "using namespace asio::experimental::awaitable_operators;\n"),
    ("capturing-coroutine", "src/git/monitor.cpp", "auto f = [this]() -> Task<> { co_await poll(); };\n"),
    ("capturing-coroutine", "src/git/monitor.cpp", "spawn(\"x\", [&, n = 1] { co_return; }());\n"),
    ("capturing-coroutine", "src/git/monitor.cpp",
     "return [=](int a) mutable noexcept -> Task<R<int>> { co_return a; };\n"),
    ("capturing-coroutine", "tests/git/monitor_test.cpp", "run([&] -> Task<> { co_await g([] { return 1; }); }());\n"),
    ("lock-beside-await", "src/pg/pool.cpp", "std::mutex m;\nTask<> f() { co_await g(); }\n"),
    ("lock-beside-await", "src/pg/pool.cpp", "Task<> f() { std::scoped_lock l{m}; co_return; }\n"),
    ("raw-libpq", "src/provision/observe.cpp", "PQexec(connection, text);\n"),
    ("raw-libpq", "tests/provision/observe_test.cpp", "PQclear (result);\n"),
    ("beast-composed", "src/http/server.cpp", "co_await http::async_read(stream, buffer, request);\n"),
    ("beast-composed", "src/http/server.cpp", "beast::http::write(stream, response);\n"),
    ("sleep", "tests/pg/pool_test.cpp", "std::this_thread::sleep_for(10ms);\n"),
    ("sleep", "tests/pg/pool_test.cpp", "usleep(10);\n"),
    ("sleep", "tests/pg/pool_test.cpp", "  ::sleep(1);\n"),
    ("shell", "src/git/mirror.cpp", "std::system(command.c_str());\n"),
    ("shell", "tests/git/mirror_test.cpp", "FILE* f = popen(text, \"r\");\n"),
    ("environment", "src/pg/settings.cpp", "const char* home = std::getenv(\"HOME\");\n"),
    ("console", "src/pg/pool.cpp", "std::cerr << 1;\n"),
    ("console", "src/pg/pool.cpp", "  fprintf(stderr, \"x\");\n"),
    ("console", "src/pg/pool.cpp", "  fmt::print(\"x\");\n"),
    ("regex", "src/project/naming.cpp", "static const std::regex name{\"a+\"};\n"),
    ("random", "src/secrets/password.cpp", "int x = rand();\n"),
    ("raw-ownership", "src/pg/pool.cpp", "auto* x = new Thing(1);\n"),
    ("raw-ownership", "src/pg/pool.cpp", "delete x;\n"),
    ("raw-ownership", "src/pg/pool.cpp", "delete[] x;\n"),
    ("pure-plan", "src/provision/plan_roles.cpp", "auto now = clock::now();\n"),
    ("hollow-test", "tests/pg/pool_test.cpp", "TEST(Pool, DISABLED_Waits) {}\n"),
    ("hollow-test", "tests/pg/pool_test.cpp", "EXPECT_TRUE(true);\n"),
    ("hollow-test", "tests/pg/pool_test.cpp", "GTEST_SKIP() << 1;\n"),
    ("file-length", "src/pg/pool.cpp", "int x;\n" * 501),
    ("file-length", "tests/pg/pool_test.cpp", "int x;\n" * 701),
    ("function-length", "src/pg/pool.cpp", "namespace a {\nvoid f(int x) {\n" + "  g();\n" * 61 + "}\n}\n"),
    ("function-length", "src/pg/pool.cpp",
     "class A {\n  int f() const {\n" + "    if (x) {\n    }\n" * 31 + "  }\n};\n"),
    ("header-guard", "src/pg/pool.hpp", "#ifndef X\n#define X\n#endif\n"),
    ("header-contract", "src/pg/pool.hpp", "#pragma once\n#include <string>\n"),
    ("vague-name", "src/base/string_utils.cpp", "int x;\n"),
    ("vague-name", "tests/common/a_test.cpp", "int x;\n"),
    ("leftover", "src/pg/pool.cpp", "// TODO: later\n"),
    ("leftover", "README.md", "FIXME say more\n"),
    ("machine-path", "docs/manual.md", "cd /" + "work/main\n"),
    ("machine-path", "tests/pg/pool_test.cpp", 'auto x = "/' + 'root/.cache";\n'),
    ("line-width", "src/pg/pool.cpp", "// " + "x" * 118 + "\n"),
    ("line-width", "run", "#!/bin/sh\n# " + "x" * 119 + "\n"),
]

# (path, text): no rule may speak.
GOOD = [
    ("src/pg/pool.cpp", '#include "pg/pool.hpp"\n\n#include "aio/gate.hpp"\n#include "base/clock.hpp"\n'),
    ("src/cli/main.cpp", '#include "app/settings.hpp"\n#include "kube/client.hpp"\n'),
    ("src/app/version.cpp", '#include "opi_version.hpp"\n'),
    ("src/pg/pool.cpp", "// asio::detached and std::mutex with co_await are banned, and so is PQexec(\n"),
    ("src/pg/pool.cpp", 'log("std::cerr, usleep(1), TODOS");\nPQexec(c, q);\n'),
    ("src/git/monitor.cpp", "auto f = [](int n) -> Task<> { co_await poll(n); };\n"),
    ("src/git/monitor.cpp", "auto f = [this] { return poll(); };\nTask<> g() { co_await f(); }\n"),
    ("src/git/monitor.cpp", "Task<> g() { co_await h([x](int y) { return x + y; }); a[i](co_await k()); }\n"),
    ("src/git/monitor.cpp", "Task<> g() { auto& [a, b] = pair; for (auto&& [c, d] : map) { co_await h(c); } }\n"),
    ("src/git/monitor.cpp", "[[nodiscard]] Task<> g() { co_return; }\n"),
    ("src/git/monitor.cpp", "outer([this] { inner([](int n) -> Task<> { co_return; }); });\n"),
    ("src/pg/pool_core.cpp", "void f() { std::scoped_lock lock{mutex_}; ++count_; }\n"),
    ("src/pg/pool.hpp",
     HEADER + "class A {\n  A(const A&) = delete;\n  void operator delete(void* p);\n  Task<> sleep(int s);\n};\n"),
    ("src/pg/pool.cpp",
     "std::unique_ptr<A> make() { return std::unique_ptr<A>(new A(1)); }\nauto renew = 1; int new_x = 2;\n"),
    ("src/pg/pool.cpp", "namespace a {\n" + "void f() {\n  g();\n}\n" * 100 + "}\n"),
    ("src/pg/table.cpp", "const int table[] = {\n" + "  1,\n" * 100 + "};\n"),
    ("src/provision/plan.cpp", "Plan plan(const Desired& desired, const Observed& observed) { return {}; }\n"),
    ("src/provision/planner.cpp", "int x = 1'000'000;\nchar c = 'x';\nauto r = R\"(std::cout << PQexec(1))\";\n"),
    ("src/cli/plan.cpp", "fmt::print(\"{}\", plan);\nconst char* home = std::getenv(\"HOME\");\n"),
    ("tests/app/a_test.cpp", "  if (::geteuid() != 0) GTEST_SKIP() << 1;\n"),
    ("tests/pg/a_test.cpp", "#if __has_feature(address_sanitizer)\n  GTEST_SKIP() << 1;\n#endif\n"),
    ("src/pg/pool.cpp", "auto x = operand(1); x.rand(2);\n"),
    ("tests/support/server.cpp", "PQfinish(connection);\n"),
    ("tests/pg/pool_test.cpp", "timer.sleep(3); co_await aio::sleep_for(10ms);\n"),
    ("src/pg/pool.cpp", "// " + "x" * 117 + "\n"),
    ("src/pg/pool.cpp", 'f("' + "x" * 130 + '");\n'),
    ("src/pg/pool.cpp", 'f(R"(\n' + "x" * 130 + '\n)");\n'),
    ("docs/manual.md", "`$HOME/work/main`, https://example.org/root/x, /usr/lib/postgresql\n"),
]


def spoken(path, text):
    return [(line, name) for rule in rules.RULES for line, name, _ in rule(rules.File(path, text))]


class Rules(unittest.TestCase):
    def test_every_bad_example_is_found_by_its_rule(self):
        for rule, path, text in BAD:
            with self.subTest(rule=rule, text=text[:60]):
                self.assertIn(rule, [name for _, name in spoken(path, text)])

    def test_no_good_example_is_complained_about(self):
        for path, text in GOOD:
            with self.subTest(path=path, text=text[:60]):
                self.assertEqual(spoken(path, text), [])

    def test_every_rule_has_a_bad_example(self):
        with open(rules.__file__, encoding="utf-8") as file:
            source = file.read().split("def of_tree")[0]
        named = set(re.findall(r'(?:_simple\(|yield [^"\n]*|yield \([^"]*)"([a-z\-]+)",', source))
        self.assertEqual(named, {rule for rule, _, _ in BAD})

    def test_places_are_exact(self):
        text = "/* two\nlines */\nint x;\nauto y = asio::detached;\n"
        self.assertEqual(spoken("src/git/a.cpp", text), [(4, "detached")])


class Tree(unittest.TestCase):
    def test_a_room_without_readme_a_dead_link_and_a_second_file_of_a_hidden_library_are_found(self):
        links = "[x](gone.md) [y](../src/app/a.cpp#L1) [z](https://example.org) [w](../src/app)\n"
        files = [rules.File("src/app/a.cpp", "#include <spdlog/spdlog.h>\n"),
                 rules.File("src/app/b.cpp", "#include <spdlog/x.h>\n"), rules.File("docs/a.md", links)]
        self.assertEqual([(path, line, name) for path, line, name, _ in rules.of_tree(files)],
                         [("src/app", 1, "room-readme"), ("docs/a.md", 1, "dead-link"),
                          ("src/app/b.cpp", 1, "library-file")])


class Source(unittest.TestCase):
    def test_comments_and_strings_are_blanked_in_place(self):
        text = 'a("//x\\"", R"q(" // )q", \'"\'); // b\n/* { */ c 1\'000\'0;\n'
        code = cpp_source.code_of(text)
        self.assertEqual(len(code), len(text))
        self.assertEqual(code.split(), ["a(", ",", ",", ");", "c", "1'000'0;"])

    def test_functions_are_found_in_namespaces_and_classes_and_initialisers_are_not(self):
        code = ("namespace a {\nstruct B {\n  int x{1};\n  B() : x{2} {\n  }\n};\nint t[] = {\n1};\n"
                "auto f(int y) -> int {\n  if (y) {\n  }\n}\n}\n")
        self.assertIn((9, 12), cpp_source.functions_of(code))
        self.assertIn((4, 5), cpp_source.functions_of(code))
        self.assertNotIn((7, 8), cpp_source.functions_of(code))


class RoomTable(unittest.TestCase):
    def test_the_table_of_the_documentation_is_the_table_that_is_checked(self):
        with open(os.path.join(tidy.ROOT, "docs", "architecture.md"), encoding="utf-8") as file:
            rows = re.findall(r'^\| `src/(\w+)` \|[^|]*\| ([^|]*?) \|$', file.read(), re.MULTILINE)
        self.assertEqual([name for name, _ in rows], list(rooms.MAY_INCLUDE))
        for name, cell in rows:
            above = list(rooms.MAY_INCLUDE)[:list(rooms.MAY_INCLUDE).index(name)]
            written = above if cell == "all above" else [] if cell == "–" else cell.split(", ")
            self.assertEqual(written, rooms.MAY_INCLUDE[name], name)

    def test_what_cmake_links_is_what_the_table_allows(self):
        with open(os.path.join(tidy.ROOT, "src", "CMakeLists.txt"), encoding="utf-8") as file:
            text = file.read()
        below = re.search(r'set\(opi_rooms_below ([\w ]+)\)', text).group(1)
        row = r'^opi_room_if_there\((\w+)((?: [\w${}]+)*?)(?: LIBRARIES[^)]*)?\)'
        for name, linked in re.findall(row, text, re.MULTILINE):
            for room in linked.replace("${opi_rooms_below}", below).split():
                self.assertIn(room, rooms.MAY_INCLUDE[name], f"opi_{name} links opi_{room}")


if __name__ == "__main__":
    unittest.main()
