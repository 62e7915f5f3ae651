#!/usr/bin/env python3
"""How long from a push, with a webhook, until what it declares is provisioned and recorded.

Usage: bench/git_push.py [--program build/release/opi] [--pushes 100]

Starts a throw-away PostgreSQL and the daemon with a repository that it would by itself look at once an hour only. Each
push changes one project; then the webhook is sent. The time runs from the webhook to `acted_at` of the new version in
the control database; what the pass itself took, the daemon says. Prints one JSON line.
"""
import argparse
import datetime
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from startup import Postgres, free_port, status_of

SECRET = b"bench"


def git(repository, *arguments, text=None):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "--git-dir", str(repository), *arguments]
    ended = subprocess.run(command, input=text, capture_output=True, text=True, check=True, env=environment)
    return ended.stdout.strip()


def project(limit):
    return ("name: one\nclusters: [local]\nservices:\n"
            f"  - postgresql-database: {{config: {{connection-limit: {limit}}}}}\n"
            "components:\n  - {name: web, type: deployment, uses-services: [postgresql-database]}\n"
            "deployments:\n  - {name: d1, cluster: local, components: [{reference: web, image: \"x:1\"}]}\n")


def push(repository, limit, first):
    text = project(limit)
    parent = "" if first else "from refs/heads/main^0\n"
    git(repository, "fast-import", "--quiet", "--force",
        text=f"commit refs/heads/main\ncommitter B <b@example.org> 1700000000 +0000\ndata 1\nx\n{parent}"
             f"M 100644 inline projects/one.yaml\ndata {len(text)}\n{text}\n")
    return git(repository, "rev-parse", "main:projects/one.yaml")


def hook(port):
    body = b'{"ref": "refs/heads/main"}'
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    signature = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    connection.request("POST", "/hooks/git/projects", body, {"X-Hub-Signature-256": signature})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 202:
        raise SystemExit(f"the webhook was answered with {answer.status}")


def last_pass_ms(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/v1/status")
    return json.loads(connection.getresponse().read())["provision"]["last_pass_ms"]


def acted_at(server, blob):
    """When the version was recorded as acted on; None before that."""
    answer = subprocess.run(
        [server.binaries / "psql", "-XAtq", "-h", "127.0.0.1", "-p", str(server.port), "-U", "bench", "opi", "-c",
         f"select extract(epoch from acted_at) from opi.project_files where blob_id = '{blob}'"],
        capture_output=True, text=True, check=False).stdout.strip()
    return float(answer) if answer else None


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/release/opi")
    parser.add_argument("--pushes", type=int, default=100)
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.program).resolve())
    folder = pathlib.Path(tempfile.mkdtemp(prefix="opi-bench-"))
    os.chmod(folder, 0o755)
    server = daemon = None
    try:
        (folder / "server").mkdir()
        server = Postgres(folder / "server")
        (folder / "key.txt").write_text(
            subprocess.run(["age-keygen"], check=True, capture_output=True, text=True).stdout)
        repository = folder / "projects.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(repository)], check=True)
        blob = push(repository, 1, True)
        probes, web = free_port(), free_port()
        (folder / "opi.yaml").write_text(
            f"databases: {{main: {{host: 127.0.0.1, port: {server.port}, user: bench}}}}\n"
            f"secrets: {{platform_key_file: key.txt}}\nstate: {{directory: state}}\n"
            f"http: {{port: {web}}}\nprobes: {{port: {probes}}}\n"
            f"projects: {{repository: {{url: 'file://{repository}', poll_interval: 1h, "
            f"webhook_secret: {SECRET.decode()}}}}}\n")
        daemon = subprocess.Popen([program, "serve", "--config", folder / "opi.yaml"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        while status_of(probes) != 200 or acted_at(server, blob) is None:
            if daemon.poll() is not None:
                raise SystemExit("opi ended early")
        total, passes = [], []
        for i in range(arguments.pushes):
            blob = push(repository, i + 2, False)
            began = datetime.datetime.now(datetime.timezone.utc).timestamp()
            hook(web)
            while (end := acted_at(server, blob)) is None:
                time.sleep(0.01)
            total.append((end - began) * 1000)
            passes.append(last_pass_ms(web))
        beyond = [a - b for a, b in zip(total, passes)]
        print(json.dumps({"pushes": arguments.pushes,
                          "push_to_recorded_ms_p50": round(quantile(total, 0.5), 1),
                          "push_to_recorded_ms_p99": round(quantile(total, 0.99), 1),
                          "pass_ms_p50": round(quantile(passes, 0.5), 1),
                          "beyond_the_pass_ms_p50": round(quantile(beyond, 0.5), 1),
                          "beyond_the_pass_ms_p99": round(quantile(beyond, 0.99), 1)}))
    finally:
        if daemon:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
        if server:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
