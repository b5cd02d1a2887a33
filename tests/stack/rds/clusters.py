"""PostgreSQL clusters behind RDS instances: made, copied, recovered to a point in time, and gone with this process."""

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

# The superuser that RDS keeps for itself. A master user is none.
OWNER = "rdsadmin"

# Stays beside a server. When this process ends, however it ends, the kernel closes the pipe that this reads; then the
# server ends at once, and its folder goes. Arguments: folder, then the server's command line.
KEEPER = """
folder=$1
shift
(
    "$@" </dev/null >>"$folder/log" 2>&1 &
    echo $! >"$folder/pid"
    wait
    : >"$folder/exited"
) &
cat >/dev/null
kill -QUIT "$(cat "$folder/pid")" 2>/dev/null
wait
rm -rf "$folder"
"""

# The same for the folder of all: base backups and archives. Servers that are ending still write to theirs.
HOME_KEEPER = """
cat >/dev/null
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$1" 2>/dev/null && exit
    sleep 1
done
"""

SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
lc_messages = 'C'
fsync = off
shared_buffers = '32MB'
max_connections = 60
max_locks_per_transaction = 256
max_wal_senders = 4
wal_level = replica
archive_mode = {archiving}
archive_command = 'test ! -f "{archive}/%f" && cp "%p" "{archive}/%f"'
"""

# What RDS makes of a new cluster. The master user may not do what only a superuser may.
PREPARE = """
CREATE ROLE rds_superuser NOLOGIN;
GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION;
GRANT SET ON PARAMETER session_replication_role TO rds_superuser;
CREATE ROLE {master} LOGIN CREATEDB CREATEROLE PASSWORD {password};
GRANT rds_superuser TO {master};
ALTER DATABASE postgres OWNER TO {master};
ALTER DATABASE template1 OWNER TO {master};
"""

START_SECONDS = 180


class ClusterError(Exception):
    """What PostgreSQL's programs said when they failed."""


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass
class Machine:
    """Where clusters run: PostgreSQL's programs by major version, and the account that servers run as."""

    programs: dict[int, Path]
    home: Path = field(init=False)
    as_account: list[str] = field(default_factory=list)
    ids: tuple[int, int] | None = None
    keeper: subprocess.Popen = field(init=False)

    def __post_init__(self) -> None:
        # A socket's path may have 107 bytes, so the folder's is short.
        self.home = Path(tempfile.mkdtemp(prefix="lifeboat-rds-"))
        self.home.chmod(0o711)
        keeper = ["/bin/sh", "-c", HOME_KEEPER, "keeper", str(self.home)]
        self.keeper = subprocess.Popen(keeper, stdin=subprocess.PIPE, cwd="/", start_new_session=True)
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            self.ids = (account.pw_uid, account.pw_gid)
            self.as_account = [
                "setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"
            ]  # fmt: skip

    def folder(self, name: str) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=f"{name[:20]}-", dir=self.home))
        if self.ids:
            os.chown(folder, *self.ids)
        return folder

    def program(self, major: int, name: str) -> str:
        return str(self.programs[major] / name)

    def run(self, *command: str, given: str | None = None) -> str:
        done = subprocess.run(
            [*self.as_account, *command],
            input=given if given is not None else "",
            capture_output=True,
            text=True,
            cwd=self.home,
            env=self.environment(),
        )
        if done.returncode != 0:
            raise ClusterError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(self.home), "LC_ALL": "C", "TZ": "UTC"}

    def version(self, major: int) -> str:
        """Such as 15.18."""
        said = self.run(self.program(major, "postgres"), "--version")
        return re.search(r"\d+\.\d+", said).group()


@dataclass(frozen=True)
class Base:
    """A base backup: what a snapshot is, and what recovery begins with."""

    folder: Path
    taken: datetime


class Cluster:
    """One server with its data. `archive` is the folder that its finished WAL files go to, if it keeps them."""

    def __init__(self, machine: Machine, name: str, major: int, archiving: bool):
        self.machine = machine
        self.major = major
        self.folder = machine.folder(name)
        self.data = self.folder / "data"
        self.socket = self.folder / "socket"
        # Outlives the instance: its snapshots do not need it, but a point in time of a deleted one would.
        self.archive = machine.folder(f"wal-{name}") if archiving else None
        self.port = 0
        self.keeper: subprocess.Popen | None = None
        self.bases: list[Base] = []

    def create(self, master: str, password: str, database: str | None) -> None:
        initdb = self.machine.program(self.major, "initdb")
        options = ["-U", OWNER, "-E", "UTF8", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256"]
        self.machine.run(initdb, "-D", str(self.data), *options, "--no-sync")
        self.start("")
        self.sql(PREPARE.format(master=identifier(master), password=literal(password)))
        if database and database != "postgres":
            self.sql(f"CREATE DATABASE {identifier(database)} OWNER {identifier(master)}")

    def create_from(self, base: Base) -> None:
        """As the base was: roles, passwords and all."""
        self.machine.run("cp", "-a", str(base.folder), str(self.data))
        self.start("")

    def recover(self, base: Base, archive: Path, until: datetime | None) -> None:
        """As the source was at a time; None: as far as its archive goes."""
        self.machine.run("cp", "-a", str(base.folder), str(self.data))
        (self.data / "recovery.signal").touch()
        if self.machine.ids:
            os.chown(self.data / "recovery.signal", *self.machine.ids)
        settings = f"restore_command = 'cp \"{archive}/%f\" \"%p\"'\nrecovery_target_action = 'promote'\n"
        if until:
            settings += f"recovery_target_time = '{until.isoformat()}'\n"
        self.start(settings)

    def start(self, further: str) -> None:
        if not self.socket.exists():
            self.machine.run("mkdir", "-m", "700", str(self.socket))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings = SETTINGS.format(
            port=self.port, socket=self.socket, archive=self.archive, archiving="on" if self.archive else "off"
        )
        (self.data / "postgresql.conf").write_text(settings + further)
        server = [*self.machine.as_account, self.machine.program(self.major, "postgres"), "-D", str(self.data)]
        self.keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", str(self.folder), *server],
            stdin=subprocess.PIPE,
            cwd="/",
            env=self.machine.environment(),
            start_new_session=True,
        )
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.sql("SELECT pg_is_in_recovery()").strip() == "f":
                    return
            except ClusterError:
                pass
            if time.monotonic() > until or (self.folder / "exited").exists():
                said = self.log()
                self.stop()
                raise ClusterError(f"the server did not start: {said[-2000:]}")
            time.sleep(0.05)

    def sql(self, sql: str, database: str = "postgres") -> str:
        where = ["-h", str(self.socket), "-p", str(self.port), "-U", OWNER, "-d", database]
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        return self.machine.run(self.machine.program(self.major, "psql"), *where, *options, given=sql)

    def set_password(self, user: str, password: str) -> None:
        self.sql(f"ALTER ROLE {identifier(user)} PASSWORD {literal(password)}")

    def take_base(self, taken: datetime) -> Base:
        folder = self.machine.folder("base")
        where = ["-h", str(self.socket), "-p", str(self.port), "-U", OWNER]
        program = self.machine.program(self.major, "pg_basebackup")
        self.machine.run(program, "-D", str(folder), *where, "-X", "stream", "-c", "fast", "--no-sync")
        base = Base(folder, taken)
        if self.archive:
            self.bases.append(base)
        return base

    def archive_all(self) -> None:
        """Everything committed until now lies in the archive afterwards, and a commit that is later than now."""
        written = self.sql("SELECT txid_current(); SELECT pg_walfile_name(pg_switch_wal())").split()[-1]
        until = time.monotonic() + START_SECONDS
        while not (self.archive / written).exists():
            if time.monotonic() > until:
                raise ClusterError(f"WAL file {written} was not archived: {self.log()[-2000:]}")
            time.sleep(0.05)

    def process(self) -> int:
        return int((self.folder / "pid").read_text())

    def log(self) -> str:
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def stop(self) -> None:
        """Ends the server; its data are gone."""
        if self.keeper:
            self.keeper.stdin.close()
            self.keeper.wait()
            self.keeper = None
        shutil.rmtree(self.folder, ignore_errors=True)
