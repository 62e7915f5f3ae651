"""The rooms of src/ and what each may include: the table of docs/architecture.md as data."""

MAY_INCLUDE = {
    "base": [],
    "yaml": ["base"],
    "aio": ["base"],
    "rest": ["base", "aio"],
    "pg": ["base", "aio"],
    "secrets": ["base", "yaml"],
    "project": ["base", "yaml", "secrets"],
    "git": ["base", "aio"],
    "kube": ["base", "yaml", "aio", "rest"],
    "store": ["base", "aio", "pg", "secrets"],
}

# The rest stands in layers: each sees everything before it.
for _room in ("provision", "http", "app", "cli"):
    MAY_INCLUDE[_room] = list(MAY_INCLUDE)

# What CMake writes and which room may include it.
GENERATED = {"opi_version.hpp": "app"}

# Libraries that live behind one room, by the start of the header's name. Value: room, and whether one .cpp only.
LIBRARIES = {
    "prometheus/": ("http", False),
    "spdlog/": ("app", True),
    "CLI/": ("cli", True),
    "yaml.h": ("yaml", True),
    "re2/": ("secrets", True),
    "stringprep.h": ("secrets", True),
    "libpq-fe.h": ("pg", False),
    "libpq/": ("pg", False),
}

# Files that may break one rule, and why. One that no longer does is reported.
EXCEPTIONS = {
    ("environment", "src/aio/child_process.cpp"): "a child without PATH of its own is looked up on ours",
    ("environment", "src/git/git_environment.cpp"): "git and ssh are found on our PATH",
    ("environment", "src/secrets/secret_ledger.cpp"): "sanitized test builds only: where the tests look for what was made",
    ("heavy-header", "src/aio/tls_context.hpp"): "the inside of a class, for two files of the room only",
    ("raw-libpq", "tests/integration/app/private_postgres_test.cpp"): "logs in as any other client would",
    ("raw-libpq", "bench/pool_floor.cpp"): "what the pool is measured against",
    ("raw-libpq", "bench/provision.cpp"): "what provisioning is measured against",
}

# What a header of ours must not pull into everybody who includes it.
HEAVY = ("boost/beast", "boost/asio/ssl", "openssl/", "prometheus/", "spdlog/", "CLI/", "yaml.h", "boost/json/src.hpp")
