#!/usr/bin/env python3
"""no_secrets_in_logs.py LEDGER FOLDER: fails when a log holds one of the secrets that the tests made.

LEDGER has a secret a line, written by sanitized builds as they make them (src/secrets/secret_ledger.hpp). FOLDER holds
what programs, servers and test suites logged. Secrets are never printed: only the file and the line's number are.
"""
import os
import subprocess
import sys
import tempfile

LENGTH_MIN = 16  # shorter ones could be found anywhere


def search(ledger, folder):
    """Places "file:line" at which a secret of the ledger stands."""
    found = subprocess.run(["grep", "-r", "-a", "-n", "-F", "-f", ledger, folder], capture_output=True, check=False)
    if found.returncode not in (0, 1):
        sys.exit(f"no_secrets_in_logs: {found.stderr.decode(errors='replace').strip()}")
    return [b":".join(line.split(b":", 2)[:2]).decode(errors="replace") for line in found.stdout.splitlines()]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ledger, folder = sys.argv[1:]
    with open(ledger, encoding="utf-8") as lines:
        secrets = sorted({line.strip() for line in lines if len(line.strip()) >= LENGTH_MIN})
    logs = [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names]
    if not secrets or not logs:
        sys.exit(f"no_secrets_in_logs: {len(secrets)} secrets and {len(logs)} logs: nothing was watched")
    with tempfile.TemporaryDirectory() as scratch:
        patterns = os.path.join(scratch, "patterns")
        planted = os.path.join(scratch, "planted")
        with open(patterns, "w", encoding="utf-8") as out:
            out.write("\n".join(secrets) + "\n")
        os.mkdir(planted)
        with open(os.path.join(planted, "log"), "w", encoding="utf-8") as out:
            out.write(f"before {secrets[-1]} behind\n")
        if len(search(patterns, planted)) != 1:
            sys.exit("no_secrets_in_logs: a secret that was planted is not found")
        found = search(patterns, folder)
    os.remove(ledger)
    for place in found:
        print(f"{place}: a secret stands here")
    size = sum(os.path.getsize(log) for log in logs)
    print(f"{len(secrets)} secrets, {len(logs)} logs, {size / 1e6:.1f} MB: {len(found)} found")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
