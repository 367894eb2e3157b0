"""Who may use the dashboard: users and roles, sessions, and a limit on failed logins. Takes `now`; no I/O but a file.

The users' file has a line for each: `name:role:salt:hash`, scrypt with the parameters of OWASP's password storage
cheat sheet (N = 2^15, r = 8, p = 3), salt and hash in hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.errors import ConfigError
from agent.core.printable import printable
from agent.core.state_dir import write_atomic

_NAME = re.compile(r"[\w.@-]{1,64}")
_LINE = re.compile(
    r"(?P<name>[\w.@-]{1,64}):(?P<role>viewer|operator):(?P<salt>[0-9a-f]{32}):(?P<hash>[0-9a-f]{64})"
)
SESSION_SECONDS = 12 * 3600.0
"""A session ends so long after the login, whatever was done."""
MOST_SESSIONS = 2_000
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
MOST_FAILURES = 5
FAILURES_SECONDS = 300.0
"""After so many failed logins of one address or name within this time, more are refused."""
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who looks: an operator may send commands, a viewer may not. `token` must come with whatever changes something."""

    name: str
    role: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One line of the users' file."""

    role: str
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)


def read_users(path: Path) -> Mapping[str, Account]:
    """The users of a file; raises ConfigError, which names file and line."""
    users = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ConfigError(
                "this is not a user; `vedette dashboard --users FILE --add-user NAME` writes one",
                file=str(path),
                line=number,
            )
        users[found["name"]] = Account(
            role=found["role"], salt=bytes.fromhex(found["salt"]), digest=bytes.fromhex(found["hash"])
        )
    if not users:
        raise ConfigError("there is no user in it", file=str(path), expected="--add-user NAME to make one")
    return users


def write_user(path: Path, name: str, role: str, password: str) -> None:
    """Add a user, or set role and password of one; raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{printable(name, 80)} is not a name of a user", expected="letters, digits, '.', '_', '@', '-'"
        )
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise ConfigError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if any(
        "\ud800" <= sign <= "\udfff" for sign in password
    ):  # what a terminal of another alphabet made of its bytes
        raise ConfigError("the password is not UTF-8 text")
    salt = secrets.token_bytes(16)
    others = _lines(path) if path.exists() else []
    lines = [line for line in others if not line.startswith(f"{name}:")]
    lines.append(f"{name}:{role}:{salt.hex()}:{digest_of(password, salt).hex()}")
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def _lines(path: Path) -> Sequence[str]:
    """The lines of a users' file; raises ConfigError where it cannot be read, or is not text."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        reason = "this is not text, so not a file of users"
    except OSError as error:
        reason = f"it cannot be read: {error.strerror or error}"
    raise ConfigError(reason, file=str(path), key="--users", expected="a file that --add-user wrote")


def digest_of(password: str, salt: bytes) -> bytes:
    """The scrypt hash of a password."""
    return hashlib.scrypt(password.encode(), salt=salt, n=2**15, r=8, p=3, maxmem=2**26, dklen=32)


@dataclass(slots=True)
class _Session:
    user: User
    ends_at: float


class Sessions:
    """Logins and sessions; belongs to the server's event loop."""

    def __init__(self, users: Mapping[str, Account]) -> None:
        self._users = users
        self._sessions: dict[bytes, _Session] = {}
        self._failures: dict[str, list[float]] = {}
        self._nobody = Account(role="viewer", salt=secrets.token_bytes(16), digest=secrets.token_bytes(32))

    def wait_seconds(self, sources: tuple[str, ...], now: float) -> float:
        """How long no login of these addresses and names is accepted; 0 where one is."""
        times = [self._recent(source, now) for source in sources]
        return max(
            (past[0] + FAILURES_SECONDS - now for past in times if len(past) >= MOST_FAILURES), default=0.0
        )

    def account(self, name: str) -> Account:
        """The account of a name; of an unknown one, one that no password fits: that takes as long to find out."""
        return self._users.get(name, self._nobody)

    def failed(self, sources: tuple[str, ...], now: float) -> None:
        """Count a failed login."""
        for source in sources:
            if source not in self._failures and len(self._failures) >= MOST_REMEMBERED:
                self._failures.pop(next(iter(self._failures)))
            self._failures[source] = [*self._recent(source, now), now]

    def _recent(self, source: str, now: float) -> list[float]:
        return [at for at in self._failures.get(source, []) if now - at < FAILURES_SECONDS][-MOST_FAILURES:]

    def begin(self, name: str, role: str, now: float) -> str:
        """Begin a session; its secret, which only the browser keeps."""
        self._sessions = {key: one for key, one in self._sessions.items() if one.ends_at > now}
        if len(self._sessions) >= MOST_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        secret = secrets.token_urlsafe(32)
        user = User(name=name, role=role, token=secrets.token_urlsafe(24))
        self._sessions[_key(secret)] = _Session(user, now + SESSION_SECONDS)
        return secret

    def user(self, secret: str, now: float) -> User | None:
        """Whose session it is; None where there is none, or it has ended."""
        session = self._sessions.get(_key(secret))
        return session.user if session is not None and session.ends_at > now else None

    def end(self, secret: str) -> None:
        """End a session."""
        self._sessions.pop(_key(secret), None)


def fits(account: Account, password: str) -> bool:
    """Whether a password is the account's; takes about 0.2 s of one core, and 32 MB."""
    return hmac.compare_digest(digest_of(password, account.salt), account.digest)


def _key(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
