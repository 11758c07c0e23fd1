"""The logins of the deployables in Postgres, each a member of one role of the core's schema.

Imported by `main.py` and by tests. They are created by SQL, because a login that Cloud SQL's own API creates belongs to
a role that may create and change others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import psycopg
from psycopg import sql

from bitcoin_pipeline.settings import SettingsError

_ROLES: Final = ("live_reader", "live_writer", "live_publisher")


def parse_logins(text: str) -> dict[str, str]:
    """The role of each login out of `LOGIN=ROLE,LOGIN=ROLE`. Raises ValueError."""
    logins = {}
    for item in text.split(","):
        login, _, role = item.partition("=")
        if not re.fullmatch("[a-z][a-z0-9_]{0,62}", login) or role not in _ROLES:
            raise ValueError(f"must be LOGIN=ROLE with a role of {', '.join(_ROLES)}, got {item!r}")
        logins[login] = role
    return logins


def password_variable(login: str) -> str:
    """The environment variable that holds a login's password."""
    return f"POSTGRES_PASSWORD_{login.upper()}"


def read_passwords(logins: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The password of each login. Raises SettingsError that names every missing variable."""
    missing = [password_variable(login) for login in logins if not environ.get(password_variable(login))]
    if missing:
        raise SettingsError("; ".join(f"{name} is not set (the password of a login)" for name in missing))
    return {login: environ[password_variable(login)] for login in logins}


def create_logins(logins: Mapping[str, str], passwords: Mapping[str, str], conninfo: str = "") -> None:
    """Create the logins that are absent, give each its password, and make it a member of its role and of no other.

    The server gets a verifier in place of a password, so no password is in a statement or a log. `conninfo`: libpq's.
    Raises psycopg.Error when the server refuses or does not answer; then nothing has changed.
    """
    with psycopg.connect(conninfo) as connection:
        for login, role in logins.items():
            name = sql.Identifier(login)
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [login]).rowcount:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
            verifier = connection.pgconn.encrypt_password(passwords[login].encode(), login.encode(), b"scram-sha-256")
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(verifier.decode())))
            for other in _ROLES:
                verb = "GRANT {} TO {}" if other == role else "REVOKE {} FROM {}"
                connection.execute(sql.SQL(verb).format(sql.Identifier(other), name))
