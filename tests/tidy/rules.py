"""The house rules. Each is a function of one File that yields (line, rule, what to do instead)."""
import re

import cpp_source
import rooms

WIDTH_MAX = 120
FILE_LINES_MAX = {"src": 500, "tests": 700, "": 500}
FUNCTION_LINES_MAX = {"src": 60, "tests": 90, "": 60}


class File:
    """A tracked text file: its path from the root, with `/`, and its text."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.parts = path.split("/")
        self.top = self.parts[0] if len(self.parts) > 1 else ""
        self.room = self.parts[1] if self.top == "src" and len(self.parts) > 2 else ""
        self.is_header = path.endswith(".hpp")
        self.is_cpp = path.endswith((".cpp", ".hpp"))
        self.code = cpp_source.code_of(text) if self.is_cpp else ""
        self.includes = cpp_source.includes_of(text) if self.is_cpp else []

    def matches(self, pattern, text=None):
        """Lines of the matches of `pattern` in the code, or in `text`."""
        text = self.code if text is None else text
        return [(cpp_source.line_of(text, m.start()), m) for m in re.finditer(pattern, text)]

    def limit(self, limits):
        return limits.get(self.top, limits[""])


def _simple(rule, pattern, instead, where):
    """A rule that forbids a pattern in the code of the C++ files that `where` selects."""

    def check(file):
        if file.is_cpp and where(file):
            for line, _ in file.matches(pattern):
                yield line, rule, instead

    return check


def _everywhere(_file):
    return True


def _in_src(file):
    return file.top == "src"


def _in_tests(file):
    return file.top == "tests"


def room_includes(file):
    """A room includes itself and what the table allows."""
    if not file.room:
        return
    if file.room not in rooms.MAY_INCLUDE:
        yield 1, "room", f"src/{file.room} is no room of docs/architecture.md; put the file into one"
        return
    allowed = [file.room, *rooms.MAY_INCLUDE[file.room]]
    for line, _, name in file.includes:
        owner = name.split("/")[0]
        if name in rooms.GENERATED:
            if rooms.GENERATED[name] != file.room:
                yield line, "room-includes", f"{name} is {rooms.GENERATED[name]}'s; take what you need as an argument"
        elif owner in rooms.MAY_INCLUDE and owner not in allowed and "/" in name:
            yield line, "room-includes", (
                f"{file.room} may include {', '.join(allowed[1:]) or 'nothing of src/'}, not {owner}; "
                "move the code down, or pass a value, a function or an interface in")


def relative_includes(file):
    """Quoted includes of src/ name room and file."""
    for line, quote, name in file.includes:
        if file.top == "src" and quote == '"' and name not in rooms.GENERATED:
            if name.split("/")[0] not in rooms.MAY_INCLUDE or "/" not in name:
                yield line, "include-path", f'write "room/file.hpp", not "{name}"'


def library_rooms(file):
    """Libraries that one room hides."""
    if not _in_src(file):
        return
    for line, _, name in file.includes:
        for start, (owner, _) in rooms.LIBRARIES.items():
            if name.startswith(start) and file.room != owner:
                yield line, "library-room", f"<{name}> is {owner}'s; use what src/{owner} offers"


def heavy_headers(file):
    """Headers pull nothing big into everybody who includes them."""
    if not (_in_src(file) and file.is_header):
        return
    for line, _, name in file.includes:
        if name.startswith(rooms.HEAVY):
            yield line, "heavy-header", f"<{name}> belongs into a .cpp; forward declare, or hide it behind a pointer"


def capturing_coroutines(file):
    """A capture dies with the lambda; the coroutine outlives it."""
    if file.is_cpp:
        for offset in cpp_source.capturing_coroutines_of(file.code):
            yield (cpp_source.line_of(file.code, offset), "capturing-coroutine",
                   "make it a function, and pass by value what it needs")


def locks_and_suspension(file):
    """No lock in a file that can suspend."""
    if file.is_cpp and file.top == "src" and cpp_source.AWAITS.search(file.code):
        for line, _ in file.matches(LOCKS):
            yield line, "lock-beside-await", "put what the lock protects into a class and file of its own"


def raw_libpq(file):
    """libpq's functions stay in the driver."""
    if not file.is_cpp or file.path.startswith(("src/pg/", "tests/support/", "tests/pg/")) or "/pg/" in file.path:
        return
    for line, found in file.matches(r'\bPQ[a-z]\w*\s*\('):
        yield line, "raw-libpq", f"use pg::Connection instead of {found.group(0).rstrip('( ')}"


def file_length(file):
    lines, most = file.text.count("\n"), file.limit(FILE_LINES_MAX)
    if file.path.endswith((".cpp", ".hpp", ".py", ".sh", ".cmake", ".js")) and lines > most:
        yield most + 1, "file-length", f"{lines} lines; split it by purpose, at most {most}"


def function_length(file):
    if file.is_cpp:
        most = file.limit(FUNCTION_LINES_MAX)
        for first, last in cpp_source.functions_of(file.code):
            if last - first > most:
                yield first, "function-length", f"{last - first} lines, at most {most}; name its steps"


def header_contract(file):
    if not file.is_header or file.top not in ("src", "tests"):
        return
    lines = file.text.split("\n")
    if lines[0] != "#pragma once":
        yield 1, "header-guard", "begin with #pragma once"
    if _in_src(file) and not any(line.startswith("/// @file") for line in lines[:3]):
        yield 2, "header-contract", 'after it "/// @file" and one sentence that says what the header is for'


VAGUE = {"util", "utils", "utility", "utilities", "helper", "helpers", "common", "misc", "stuff"}


def vague_names(file):
    for part in file.parts:
        words = re.split(r'[_.\-]', part)
        if vague := VAGUE.intersection(words):
            yield 1, "vague-name", f'"{sorted(vague)[0]}" says nothing; name it after what it does'


def leftovers(file):
    for line, found in file.matches(r'\b(TODO|FIXME|XXX|HACK)\b', file.text):
        yield line, "leftover", f"{found.group(1)}: do it, or open an issue and take the mark away"


def machine_paths(file):
    for line, found in file.matches(r'(?<![\w.}/$])/(work|root|farm|opt)/[\w.]+', file.text):
        yield line, "machine-path", f"{found.group(0)} exists on one machine only; derive the path"


def line_width(file):
    if file.path.endswith((".cpp", ".hpp", ".py", ".sh", ".cmake", "CMakeLists.txt")) or file.text.startswith("#!"):
        literals = cpp_source.literals_of(file.text) if file.is_cpp else []
        for number, line in enumerate(file.text.split("\n"), 1):
            if len(line) > WIDTH_MAX and not re.search(r'https?://\S{60}', line):
                if literals and max(literals[number - 1], default=0) >= WIDTH_MAX - 3:
                    continue  # text that people or a database read is not broken for our sake
                yield number, "line-width", f"{len(line)} columns; at most {WIDTH_MAX}"


def raw_ownership(file):
    if not (file.is_cpp and _in_src(file)):
        return
    lines = file.code.split("\n")
    for line, found in file.matches(r'(?<![\w:])new\s+[\w:(]|(?<![\w:])delete(\s*\[\s*\])?\s+[\w(*]'):
        if "operator" in lines[line - 1]:
            continue
        before = file.code[:found.start()].split("\n")[-1]
        if found.group(0).startswith("new") and re.search(r'(unique_ptr|shared_ptr|Ptr)\b.*[({]\s*$', before):
            continue
        yield line, "raw-ownership", "std::make_unique or a container owns it"


def pure_plan(file):
    """Planning is a function of desired and observed state."""
    if file.is_cpp and re.match(r'src/provision/plan[^/]*$', file.path):
        for line, _ in file.matches(r'\bco_await\b|\bTask<|::now\s*\('):
            yield line, "pure-plan", "planning does no I/O and reads no clock; observe before, apply after"


def hollow_tests(file):
    if _in_tests(file) and file.is_cpp:
        lines = file.code.split("\n")
        pattern = r'\bDISABLED_\w|\b(EXPECT|ASSERT)_TRUE\s*\(\s*true\s*\)|\bSUCCEED\s*\(|\bGTEST_SKIP\s*\('
        for line, found in file.matches(pattern):
            # Some things only root, only an ordinary user, only one kind of build or only a cluster that is there can show:
            # another run shows them.
            reason = re.search(r'geteuid|kubeconfig_names|__has_feature\(\w+_sanitizer\)', " ".join(lines[max(0, line - 2):line]))
            if found.group(0).startswith("GTEST_SKIP") and reason:
                continue
            yield line, "hollow-test", "a test that cannot fail protects nothing; make it run, or remove it"


LOCKS = (r'\bstd::((recursive_|shared_|timed_)?mutex|(unique|shared|scoped)_lock|lock_guard|condition_variable)\b')
SLEEPS = (r'\bthis_thread::sleep_(for|until)\b|\b(usleep|nanosleep)\s*\('
          r'|(?<![\w.>:])::sleep\s*\(|(?m:^|[;{}])\s*sleep\s*\(')
COMPOSED = r'\b(beast::)?http::(async_)?(read|write)(_some|_header|_message)?\s*\('

RULES = (
    room_includes,
    relative_includes,
    library_rooms,
    heavy_headers,
    _simple("detached", r'\basio::detached\b', "an exception would be lost; aio::TaskScope::spawn keeps it",
            _everywhere),
    _simple("awaitable-operators", r'\bawaitable_operators\b',
            "they swallow exceptions; aio::with_deadline and aio::TaskScope do not", _everywhere),
    capturing_coroutines,
    locks_and_suspension,
    raw_libpq,
    _simple("beast-composed", COMPOSED,
            "half a minute of compile each; feed Beast's parser from aio::ByteStream", _in_src),
    _simple("sleep", SLEEPS, "wait for the condition itself: a future, a timer of the loop, an event", _everywhere),
    _simple("shell", r'(?<![\w.>])(std::)?(system|popen)\s*\(', "aio::run_command, with an argument list", _everywhere),
    _simple("environment", r'\bgetenv\s*\(', "only app and cli read the environment; take a settings struct",
            lambda file: _in_src(file) and file.room not in ("app", "cli")),
    _simple("console", r'\bstd::(cout|cerr|clog)\b|(?<![\w:])(std::)?f?printf\s*\(|\bfmt::print\b',
            "rooms return values and write to their Logger; only cli and app print",
            lambda file: _in_src(file) and file.room not in ("app", "cli")),
    _simple("regex", r'\bstd::w?regex\b', "slow, and deep recursion on long input; write the few lines of parser",
            _in_src),
    _simple("random", r'(?<![\w:.>])(std::)?s?rand\s*\(', "a seeded generator for jitter, OpenSSL for secrets",
            _everywhere),
    raw_ownership,
    pure_plan,
    hollow_tests,
    file_length,
    function_length,
    header_contract,
    vague_names,
    leftovers,
    machine_paths,
    line_width,
)


def of_tree(files):
    """Rules that need all files at once: yields (path, line, rule, what to do instead)."""
    yield from _rooms_have_readmes(files)
    yield from _links_lead_somewhere(files)
    yield from _one_cpp_per_hidden_library(files)


def _rooms_have_readmes(files):
    paths = {file.path for file in files}
    for room in sorted({file.room for file in files if file.room and file.is_cpp}):
        if f"src/{room}/README.md" not in paths:
            yield (f"src/{room}", 1, "room-readme",
                   "15 to 40 lines of README.md: what it is, the flow, the files, how to test it")


def _links_lead_somewhere(files):
    paths = {file.path for file in files}
    folders = {"/".join(file.parts[:depth]) for file in files for depth in range(1, len(file.parts))}
    for file in files:
        if not file.path.endswith(".md"):
            continue
        prose = re.sub(r'`[^`\n]*`', lambda code: " " * len(code.group(0)), file.text)
        for line, found in file.matches(r'\]\(([^)#\s]+)[^)]*\)', prose):
            target = found.group(1)
            if re.match(r'[a-z]+:', target):
                continue
            parts = [] if target.startswith("/") else file.parts[:-1]
            for part in target.strip("/").split("/"):
                parts = parts[:-1] if part == ".." else parts if part in (".", "") else [*parts, part]
            if "/".join(parts) not in paths | folders | {""}:
                yield file.path, line, "dead-link", f"{target} does not exist"


def _one_cpp_per_hidden_library(files):
    for start, (owner, single) in rooms.LIBRARIES.items():
        users = [file.path for file in files
                 if file.top == "src" and any(name.startswith(start) for _, _, name in file.includes)]
        for path in users[1:] if single else []:
            yield path, 1, "library-file", f"{start} stays behind one .cpp, and that is {users[0]}"
