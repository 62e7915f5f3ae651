"""A PostgreSQL of one's own for a measurement: made in a folder, on loopback, gone with it."""
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """Runs as user `postgres` when we are root. `options` are further settings, NAME=VALUE."""

    def __init__(self, folder, options=()):
        self.binaries = pathlib.Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
        self.data = folder / "data"
        self.port = free_port()
        self.as_user = []
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            self.as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"]
        subprocess.run(
            [*self.as_user, self.binaries / "initdb", "-D", self.data, "-U", "bench", "-A", "trust", "--no-sync",
             "--locale=C.UTF-8", "-E", "UTF8"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={self.port}", *options]
        self.process = subprocess.Popen(
            [*self.as_user, self.binaries / "postgres", "-D", self.data,
             *[word for setting in settings for word in ("-c", setting)]],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        asks = [self.binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(asks).returncode != 0:
            if self.process.poll() is not None:
                raise SystemExit("PostgreSQL did not start")

    def environment(self):
        """The variables of libpq that lead here."""
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "bench", "PGDATABASE": "postgres",
                "PGSSLMODE": "disable"}

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Folder:
    """A folder that other users may enter, as a context."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="opi-bench-"))
        self.path.chmod(0o755)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)
