"""The dashboard from broker to browser: one subscriber, one collector, one history, one web server."""

from __future__ import annotations

import errno
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.errors import ConfigError
from agent.core.state_dir import claim
from agent.dashboard.subscriber import Subscriber
from agent.dashboard.web.api import Parts, application
from agent.dashboard.web.collector import Collector
from agent.dashboard.web.commands import Commands
from agent.dashboard.web.connection import TimedConnection
from agent.dashboard.web.ghosts import Ghosts
from agent.dashboard.web.guard import Access, is_loopback
from agent.dashboard.web.history import History, SqliteRows
from agent.dashboard.web.queries import Queries
from agent.dashboard.web.store import HistoryReader, Store, StoreError
from agent.dashboard.web.stream import RowStream
from agent.dashboard.web.tls import check_files

if TYPE_CHECKING:
    from agent.dashboard.web.collect import SharedCollector
    from agent.dashboard.web.postgres.address import Database

DEFAULT_LISTEN = "127.0.0.1:8080"
STOP_SECONDS = 3
LOCK = "dashboard.lock"
TAKEN = (
    "another dashboard (process {}) writes this history; stop it, give this one its own --data, or have several "
    "dashboards on one history with --store (docs/dashboard.md)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the dashboard runs; `data` None: the history ends with the process.

    With `database` the history is there: the dashboard reads it and, unless `read_only`, is one of its collectors,
    which `note` gets a line from for each change of how it is.
    """

    listen: str = DEFAULT_LISTEN
    data: Path | None = None
    database: Database | None = None
    read_only: bool = False
    note: Callable[[str], object] = str
    access: Access = field(default_factory=Access)
    tls_cert: str = ""
    tls_key: str = ""


class Dashboard:
    """A context manager: inside it the collector runs; `serve` is the web server, until `stop` or a signal."""

    def __init__(self, broker: BrokerSettings, options: Options) -> None:
        self._broker, self._options = broker, options
        self._closing = ExitStack()
        self._stop = threading.Event()

    def __enter__(self) -> Dashboard:
        options = self._options
        host, port = parse_listen(options.listen)
        if options.access.open and not is_loopback(host):
            raise ConfigError(
                f"{options.listen} can be reached from other machines, and nobody has to log in", file="command line",
                key="--listen", expected="--users FILE (--add-user NAME makes one), or --trust-proxy ADDRESS",
            )  # fmt: skip
        check_files(options.tls_cert, options.tls_key)
        with ExitStack() as opened:
            self._socket = opened.enter_context(_listen(host, port, options.listen))
            self._open(opened)
            self._closing = opened.pop_all()
        return self

    def _open(self, opened: ExitStack) -> None:
        rows, store, shared = self._stores(opened)
        subscriber, queries = Subscriber(self._broker), Queries(rows)
        self.stream = RowStream(int(clock.wall() * 1000))
        commands = Commands(self._broker.topic_prefix, subscriber.publish)
        self.collector = Collector(
            subscriber, store, self.stream, commands, self._broker.topic_prefix,
            failing=lambda: shared.error if shared else "", say=self._options.note,
            last_heard=_or_none(queries.last_heard),
        )  # fmt: skip
        parts = Parts(
            stream=self.stream, queries=queries, commands=commands, ghosts=Ghosts(self._broker),
            access=self._options.access, rates=self.collector.rates,
        )  # fmt: skip
        config = uvicorn.Config(
            application(parts), http=TimedConnection, log_level="warning", access_log=False, lifespan="off",
            server_header=False, proxy_headers=False, limit_concurrency=1000, timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=self._options.tls_cert or None, ssl_keyfile=self._options.tls_key or None,
        )  # fmt: skip
        self._server = _Server(config, self.stream)
        subscriber.start()
        opened.callback(subscriber.close)
        workers = {"collector": self.collector.run, **({"shared": shared.run} if shared else {})}
        for name, run in workers.items():
            worker = threading.Thread(target=run, args=(self._stop,), name=name)
            worker.start()
            opened.callback(worker.join)
        opened.callback(self._stop.set)

    def _stores(self, opened: ExitStack) -> tuple[HistoryReader, Store | None, SharedCollector | None]:
        """What the pages read, what the collector writes, and the collector of a database."""
        options = self._options
        if options.database is not None:
            from agent.dashboard.web.collect import CollectOptions, SharedCollector
            from agent.dashboard.web.postgres.reader import PostgresRows

            rows = opened.enter_context(PostgresRows(options.database))
            if options.read_only:
                return rows, None, None
            name = f"{socket.gethostname()}-{self._socket.getsockname()[1]}"
            return rows, None, SharedCollector(
                self._broker, options.database, CollectOptions(name=name), options.note
            )  # fmt: skip
        folder = options.data or Path(
            opened.enter_context(tempfile.TemporaryDirectory(prefix="vedette-dashboard-"))
        )
        _make(folder)
        opened.callback(claim(folder, LOCK, TAKEN))
        history = History(folder)
        history.open()
        opened.callback(history.close)
        return SqliteRows(history.path), history, None

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        host, port = self._socket.getsockname()[:2]
        shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
        return (
            f"http{'s' if self._options.tls_cert else ''}://{f'[{shown}]' if ':' in shown else shown}:{port}"
        )

    def serve(self) -> None:
        """Serve until `stop`, or until a signal ends the process's main thread."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Have `serve` return; from any thread."""
        self._server.should_exit = True
        self.stream.close()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._closing.close()


def _or_none(asked: Callable[[str, str], float | None]) -> Callable[[str, str], float | None]:
    """The same, None where the history cannot be read at the moment."""

    def answer(site: str, device: str) -> float | None:
        try:
            return asked(site, device)
        except StoreError:
            return None

    return answer


class _Server(uvicorn.Server):
    """Ends the viewers' streams before it waits for open connections."""

    def __init__(self, config: uvicorn.Config, stream: RowStream) -> None:
        super().__init__(config)
        self._stream = stream

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._stream.close()
        await super().shutdown(sockets)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror or error}", file="command line", key="--data",
            expected="a folder that this user may write, on a disk with room",
        ) from None  # fmt: skip


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (all addresses); raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        raise ConfigError(
            f"{text!r} is not an address to listen at",
            file="command line",
            key="--listen",
            expected="HOST:PORT",
        )
    return host.strip("[]") or "0.0.0.0", int(port)


def _listen(host: str, port: int, shown: str) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {shown}: {_LISTENING.get(error.errno or 0, error.strerror or error)}",
            file="command line", key="--listen",
            expected=f"an address of this machine and a free port, such as {host}:{port + 1}",
        ) from None  # fmt: skip


_LISTENING = {
    errno.EADDRINUSE: "the port is in use, perhaps by another dashboard",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "ports below 1024 are for root",
}
