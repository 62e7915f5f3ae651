"""Just enough of C++ to check house rules: text without comments and strings, functions, lambdas."""
import re

TOKEN = re.compile(
    r'//[^\n]*'                                    # line comment
    r'|/\*.*?\*/'                                  # block comment
    r'|(?:u8|[uUL])?R"([^()\\\s]{0,16})\(.*?\)\1"'  # raw string
    r'|"(?:\\.|[^"\\\n])*"'                        # string
    r"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'",      # character, and not the separator in 1'000
    re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">\n]+)[">]', re.MULTILINE)
SCOPE_HEAD = re.compile(r'\b(namespace|extern)\b')
TYPE_HEAD = re.compile(r'\b(class|struct|union|enum)\b')
CONSTRUCTOR = re.compile(r'\)\s*(noexcept(\([^()]*\))?\s*)?:(?!:)')
AWAITS = re.compile(r'\bco_(await|return|yield)\b')
BEFORE_LAMBDA = {"return", "co_await", "co_return", "co_yield", "case", "else"}


def _blank(match):
    return re.sub(r'[^\n]', ' ', match.group(0))


def code_of(text):
    """The text with comments, strings and characters blanked; every offset and line stays where it was."""
    return TOKEN.sub(_blank, text)


def literals_of(text):
    """For every line the columns (from 0) that are inside a string literal."""
    marked = TOKEN.sub(lambda m: m.group(0) if m.group(0).startswith("/") else re.sub(r'[^\n]', "\0", m.group(0)), text)
    return [{column for column, character in enumerate(line) if character == "\0"} for line in marked.split("\n")]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def includes_of(text):
    """(line, quote, name) of every include directive that is not in a comment."""
    comments = re.compile(r'//[^\n]*|/\*.*?\*/', re.DOTALL)
    plain = comments.sub(_blank, text)
    return [(line_of(plain, m.start(2)), m.group(1), m.group(2)) for m in INCLUDE.finditer(plain)]


def close_of(code, opening):
    """The offset of the bracket that closes the one at `opening`, or the end."""
    pair = {"{": "}", "(": ")", "[": "]"}
    start = code[opening]
    depth = 0
    for offset in range(opening, len(code)):
        if code[offset] == start:
            depth += 1
        elif code[offset] == pair[start]:
            depth -= 1
            if depth == 0:
                return offset
    return len(code)


def functions_of(code):
    """(first line, last line) of every function body that stands in a namespace or a class."""
    code = re.sub(r'^[ \t]*#[^\n]*(?:\\\n[^\n]*)*', _blank, code, flags=re.MULTILINE)
    found, offset, head_start = [], 0, 0
    while offset < len(code):
        character = code[offset]
        if character in ";}":
            head_start = offset + 1
        elif character == "{":
            head = code[head_start:offset]
            if CONSTRUCTOR.search(head) and re.search(r'[\w>]\s*$', head):
                offset = close_of(code, offset) + 1  # a member's initialiser; the body follows
                continue
            if ")" in head and not re.search(r'=\s*$|\b(class|struct|union|enum)\b[^()]*$', head):
                end = close_of(code, offset)
                found.append((line_of(code, offset), line_of(code, end)))
                offset = end
            elif not (SCOPE_HEAD.search(head) or TYPE_HEAD.search(head)):
                offset = close_of(code, offset)  # an initialiser
            head_start = offset + 1
        offset += 1
    return found


def _lambda_body(code, offset):
    """The offset of the `{` of the lambda whose capture list ends before `offset`, and its head; None if it is none."""
    start = offset
    while offset < len(code):
        rest = code[offset:]
        if blank := re.match(r'\s+', rest):
            offset += blank.end()
        elif rest[0] == "{":
            return offset, code[start:offset]
        elif rest[0] == "(":
            offset = close_of(code, offset) + 1
        elif rest[0] == "<" and offset == start:
            parameters = re.match(r'<[^(){};]*>', rest)
            offset += parameters.end() if parameters else 1
        elif arrow := re.match(r'->\s*[\w:]+(\s*<[^{};]*>)?(\s*[&*]+)?', rest):
            offset += arrow.end()
        elif word := re.match(r'(mutable|noexcept|constexpr|static)\b', rest):
            offset += word.end()
        else:
            return None
    return None


def lambdas_of(code):
    """(offset, captures, head, body) of every lambda."""
    found = []
    for match in re.finditer(r'\[', code):
        opening = match.start()
        if code.startswith("[[", opening) or code.startswith("[[", opening - 1):
            continue
        before = re.search(r'(\w+|[^\s\w])\s*$', code[max(0, opening - 200):opening])
        if before:
            word = before.group(1)
            if (re.match(r'\w', word) and word not in BEFORE_LAMBDA) or word in (")", "]"):
                continue
        closing = close_of(code, opening)
        body = _lambda_body(code, closing + 1)
        if body:
            start, head = body
            end = close_of(code, start)
            found.append((opening, code[opening + 1:closing].strip(), head, start, end))
    return found


def capturing_coroutines_of(code):
    """Offsets of lambdas that capture something and are coroutines themselves."""
    lambdas, found = lambdas_of(code), []
    for opening, captures, head, start, end in lambdas:
        if not captures:
            continue
        body = code[start:end]
        for inner_opening, _, _, inner_start, inner_end in lambdas:
            if start < inner_start and inner_end < end and inner_opening > start:
                body = body[:inner_start - start] + " " * (inner_end - inner_start) + body[inner_end - start:]
        if AWAITS.search(body):
            found.append(opening)
    return found
