"""A name with several addresses, and addresses at which nothing answers: not even that nobody is there."""

import socket
from contextlib import ExitStack, contextmanager


@contextmanager
def dead_addresses(port, count=2):
    """Addresses of this machine at which a connection to `port` hangs: who listens takes none, and his queue is full."""
    with ExitStack() as opened:
        places = [f"127.0.0.{number}" for number in range(2, 2 + count)]
        for place in places:
            listener = opened.enter_context(socket.create_server((place, port), backlog=0))
            for _ in range(2):
                waiting = opened.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
        yield places


def resolving(monkeypatch, name, places):
    """Have `name` stand for these addresses, in this order."""
    real = socket.getaddrinfo

    def found(host, port, *more, **options):
        if host != name:
            return real(host, port, *more, **options)
        return [one for place in places for one in real(place, port, *more, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", found)
