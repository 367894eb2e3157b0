"""Checks every request: security headers, the host's name, the login, the token of what changes something.

A class of ASGI of its own: Starlette's middleware for functions holds a stream of events back.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse

from agent.core import clock
from agent.core.errors import ConfigError
from agent.core.printable import printable
from agent.dashboard.web.access import Sessions, User

AsgiScope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
App = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

COOKIE = "vedette_session"
OPEN_PATHS = frozenset({"/login", "/api/login", "/static/login.js", "/static/style.css", "/static/icon.svg"})
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the dashboard may be used.

    `sessions` None: without a login, which is for the machine itself alone. `proxies` are the networks (an address is
    one of itself) whose header `proxy_header` names the user; such a user is an operator where `proxy_role` says so.
    """

    sessions: Sessions | None = None
    proxies: tuple[Network, ...] = ()
    proxy_header: str = "x-forwarded-user"
    proxy_role: str = "viewer"
    local_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def open(self) -> bool:
        """Whether nobody has to log in."""
        return self.sessions is None and not self.proxies


class Guard:
    """Lets through what `access` allows; the user is in `scope["state"]["user"]` then."""

    def __init__(self, app: App, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: AsgiScope) -> App | None:
        headers = Headers(scope=scope)
        if self._access.open and not is_local_name(headers.get("host", "")):
            return JSONResponse(
                {"error": "without a login this page is served to localhost and 127.0.0.1 alone"}, 403
            )
        user = self._user(scope, headers)
        scope.setdefault("state", {})["user"] = user
        if user is None and scope["path"] not in OPEN_PATHS:
            if scope["path"].startswith("/api/"):
                return JSONResponse({"error": "log in first"}, 401)
            return RedirectResponse("/login", 303)
        if scope["method"] not in {"GET", "HEAD"} and not _same_site(headers):
            return JSONResponse({"error": "this comes from another site"}, 403)
        changes = scope["method"] not in {"GET", "HEAD"} and scope["path"] not in OPEN_PATHS
        if user is not None and changes and not _has_token(headers, user):
            return JSONResponse({"error": "the page is out of date: load it again"}, 403)
        return None

    def _user(self, scope: AsgiScope, headers: Headers) -> User | None:
        access = self._access
        if access.open:
            return User(name="local", role="operator", token=access.local_token)
        client = (scope.get("client") or ("",))[0]
        names = headers.getlist(access.proxy_header)
        if is_within(client, access.proxies) and len(names) == 1 and names[0].strip():
            return User(
                name=printable(names[0].strip(), 64), role=access.proxy_role, token=access.local_token
            )
        secret = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return access.sessions.user(secret, clock.monotonic()) if access.sessions and secret else None


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks (`10.0.0.5`, `fd00::/64`) of proxies; raises ConfigError."""
    found: list[Network] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise _no_proxy(text, str(error)) from None
        if not network.prefixlen:
            raise _no_proxy(text, "every machine would be trusted")
        found.append(network)
    return tuple(found)


def _no_proxy(text: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{printable(text, 60)!r} is not an address of a proxy: {reason}", file="command line", key="--trust-proxy",
        expected="an address or a network, such as 10.0.0.5 or 10.0.0.0/28",
    )  # fmt: skip


def is_within(client: str, networks: Iterable[Network]) -> bool:
    """Whether a client's address is in one of `networks`; an IPv4 address in IPv6's form counts as itself."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_local_name(host: str) -> bool:
    """Whether a request's host is this machine's own name: another's could point here (DNS rebinding)."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return is_loopback(name.strip("[]"))


def _same_site(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host", "")


def _has_token(headers: Headers, user: User) -> bool:
    return secrets.compare_digest(headers.get("x-csrf-token", "").encode(), user.token.encode())
