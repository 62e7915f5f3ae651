#!/usr/bin/env python3
"""How long `opi serve` takes from process start to ready, and how much memory it keeps when idle.

Usage: bench/startup.py [--program build/release/opi] [--runs 20]

Starts a throw-away PostgreSQL on loopback (as user `postgres` when run as root), then the daemon several times with no
projects repository, and prints one JSON line: milliseconds to a 200 from /readyz (every pool's minimum open), of which
the fork and exec of the same program (`opi --version`) are given beside it, and resident memory two seconds later.
"""
import argparse
import http.client
import json
import pathlib
import signal
import statistics
import subprocess
import time

from throwaway_postgres import Folder, Postgres, free_port


def status_of(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except OSError:
        return None


def resident_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def one_run(program, folder, probes_port):
    began = time.perf_counter()
    process = subprocess.Popen([program, "serve", "--config", folder / "opi.yaml"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while status_of(probes_port) != 200:
        if process.poll() is not None:
            raise SystemExit("opi ended early")
    ready = (time.perf_counter() - began) * 1000
    time.sleep(2)  # idle, not a state to wait for
    memory = resident_mb(process.pid)
    process.send_signal(signal.SIGTERM)
    process.wait()
    return ready, memory


def measure(program, folder, server, count):
    # A passphrase-free identity of this run alone.
    key = subprocess.run(["age-keygen"], check=True, capture_output=True, text=True).stdout
    (folder / "key.txt").write_text(key)
    probes, web = free_port(), free_port()
    (folder / "opi.yaml").write_text(
        f"databases: {{main: {{host: 127.0.0.1, port: {server.port}, user: bench}}}}\n"
        f"secrets: {{platform_key_file: key.txt}}\nstate: {{directory: state}}\n"
        f"http: {{port: {web}}}\nprobes: {{port: {probes}}}\n")
    one_run(program, folder, probes)  # makes the control database
    runs = [one_run(program, folder, probes) for _ in range(count)]
    bare = []
    for _ in range(count):
        began = time.perf_counter()
        subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=True)
        bare.append((time.perf_counter() - began) * 1000)
    ready = [run[0] for run in runs]
    print(json.dumps({"runs": count, "ready_ms_median": round(statistics.median(ready), 1),
                      "ready_ms_min": round(min(ready), 1), "ready_ms_max": round(max(ready), 1),
                      "version_ms_median": round(statistics.median(bare), 1),
                      "rss_mb_max": round(max(run[1] for run in runs), 1)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/release/opi")
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.program).resolve())
    with Folder() as folder:
        server_folder = folder / "server"
        server_folder.mkdir()
        server = Postgres(server_folder)
        try:
            measure(program, folder, server, arguments.runs)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
