"""The routes: pages, the JSON interface, server-sent events and CSV."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agent.core import clock
from agent.core.errors import VedetteError
from agent.core.runbook_pages import runbook_page
from agent.core.untrusted import BadInput, parse_object, take_flag, take_number, take_object, take_text
from agent.dashboard.web import drift
from agent.dashboard.web.access import User, fits
from agent.dashboard.web.commands import SIGNED, Commands
from agent.dashboard.web.fields import DAY
from agent.dashboard.web.ghosts import Ghosts
from agent.dashboard.web.guard import COOKIE, Access, Guard
from agent.dashboard.web.queries import Queries, QuerySpan, span
from agent.dashboard.web.report import Contents, report_page, snapshot_of
from agent.dashboard.web.report_contents import alert_of, report_of, report_of_alert
from agent.dashboard.web.store import HOUR, to_text
from agent.dashboard.web.stream import MOST_VIEWERS, RowStream

STATIC = Path(__file__).parents[1] / "static"
LARGEST_REQUEST = 16 * 1024
BODY_SECONDS = 10.0
MOST_FIELDS = 60
MOST_SPARKS = 100
LONGEST_SPAN = 800 * DAY
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the routes answer from."""

    stream: RowStream
    queries: Queries
    commands: Commands
    ghosts: Ghosts
    access: Access
    rates: Callable[[tuple[str, str]], list[float]]


class JsonResponse(Response):
    """A JSON answer, compact."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of `content`."""
        return to_text(content).encode("utf-8", "replace")


def application(parts: Parts) -> Guard:
    """The whole application, behind its guard."""
    routes = [
        Route("/login", _page("login.html")),
        Route("/", _page("index.html")),
        Route("/api/login", _Login(parts.access), methods=["POST"]),
        *(Route(path, endpoint) for path, endpoint in _reading(parts).items()),
        *(Route(path, endpoint, methods=["POST"]) for path, endpoint in _changing(parts).items()),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers: Mapping[Any, Any] = {VedetteError: _failed, HTTPException: _refused}
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(GZipMiddleware(app, minimum_size=1000), parts.access)


def _page(name: str) -> Endpoint:
    async def page(_: Request) -> Response:
        return FileResponse(STATIC / name)

    return page


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _refused(_: Request, error: Exception) -> Response:
    status, text = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return JSONResponse({"error": text}, status)


# -- what is asked for ---------------------------------------------------------------------------------------------


def _reading(parts: Parts) -> Mapping[str, Endpoint]:
    """The routes that change nothing."""
    queries = parts.queries

    async def fleet(_: Request) -> Response:
        return JsonResponse(parts.stream.snapshot())

    async def events(request: Request) -> Response:
        if parts.stream.viewers >= MOST_VIEWERS:
            raise HTTPException(503, "too many viewers")
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        if not after.isdecimal() or len(after) > 18:
            raise HTTPException(400, "after is not a revision")
        return StreamingResponse(parts.stream.follow(int(after)), media_type="text/event-stream")

    async def sparks(request: Request) -> Response:
        """Frames a second of some devices (`numbers`) over their last windows."""
        asked = request.query_params.get("numbers", "").split(",")[:MOST_SPARKS]
        keys = parts.stream.keys_of(int(one) for one in asked if one.isdecimal() and len(one) < 10)
        return JsonResponse({number: parts.rates(key) for number, key in keys.items()})

    async def me(request: Request) -> Response:
        user = _user(request)
        return JsonResponse(
            {"name": user.name, "role": user.role, "token": user.token, "login": not parts.access.open}
        )

    async def device(request: Request) -> Response:
        site, name, _ = _key(request)
        latest = await run_in_threadpool(queries.latest, site, name)
        firing = await run_in_threadpool(lambda: queries.alerts(firing=True, site=site, device=name))
        first = await run_in_threadpool(queries.first, site, name)
        return JsonResponse({"latest": latest, "alerts": firing, "first": first})

    async def curves(request: Request) -> Response:
        fields = [name for name in request.query_params.get("fields", "").split(",") if name][:MOST_FIELDS]
        return JsonResponse(await run_in_threadpool(queries.curves, _key(request), fields, _span(request)))

    async def names(request: Request) -> Response:
        return JsonResponse(await run_in_threadpool(queries.names, _key(request), _span(request)))

    async def table(request: Request) -> Response:
        key, within = _key(request), _span(request)
        fields = [name for name in request.query_params.get("fields", "").split(",") if name][:MOST_FIELDS]
        found = await run_in_threadpool(queries.curves, key, fields, within)
        return _csv(
            ["time", *fields], zip(found["times"], *(found["series"][name] for name in fields), strict=True)
        )

    async def marks(request: Request) -> Response:
        site, name, _ = _key(request)
        return JsonResponse(await run_in_threadpool(queries.marks, site, name, _span(request)))

    async def states(request: Request) -> Response:
        kind = "light" if request.query_params.get("kind") == "light" else "state"
        return JsonResponse(await run_in_threadpool(queries.states, _key(request), _span(request), kind))

    async def heat(request: Request) -> Response:
        return JsonResponse(
            await run_in_threadpool(drift.heat_map_of, queries, _key(request), _span(request))
        )

    async def feature(request: Request) -> Response:
        name, within = request.query_params.get("feature", "")[:80], _span(request)
        return JsonResponse(await run_in_threadpool(_compared, queries, _key(request), within, name))

    async def alerts(request: Request) -> Response:
        asked = request.query_params
        firing, site, device = asked.get("state") != "past", asked.get("site", ""), asked.get("device", "")
        since = 0.0 if firing else _number(asked.get("since", "0"))
        found = await run_in_threadpool(
            lambda: queries.alerts(firing=firing, site=site, device=device, since=since)
        )
        return JsonResponse(found)

    async def runbook(request: Request) -> Response:
        return JsonResponse(
            {"text": await run_in_threadpool(runbook_page, request.query_params.get("name", ""))}
        )

    async def ghosts(_: Request) -> Response:
        return JsonResponse(await parts.ghosts.rows(clock.wall()))

    endpoints = (
        fleet,
        events,
        sparks,
        me,
        device,
        curves,
        names,
        marks,
        states,
        heat,
        feature,
        alerts,
        runbook,
        ghosts,
    )
    return {f"/api/{endpoint.__name__}": endpoint for endpoint in endpoints} | {"/api/curves.csv": table}


def _changing(parts: Parts) -> Mapping[str, Endpoint]:
    """The routes for operators, and the end of a session."""

    async def send(body: Mapping[str, Any], name: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        site, device = (take_text(body, part, longest=200) for part in ("site", "device"))
        return await run_in_threadpool(parts.commands.send, site, device, name, args, clock.wall())

    async def command(request: Request) -> Response:
        user, body = _operator(request), await _body(request)
        name, args = take_text(body, "command", longest=200), dict(take_object(body, "args", {}))
        return JsonResponse(await send(body, name, args | ({"who": user.name} if name in SIGNED else {})))

    async def reference(request: Request) -> Response:
        """A feature as the device's reference has it against its last windows: the device is asked."""
        _operator(request)
        body = await _body(request)
        args = {part: take_text(body, part, longest=200) for part in ("camera", "feature")}
        try:
            answer = await send(body, "drift_feature", args)
            return JsonResponse(await run_in_threadpool(drift.compare_answer, answer))
        except VedetteError as error:  # no fault of the page: it shows what it has without the device
            return JsonResponse({"refused": str(error)})

    async def report(request: Request) -> Response:
        """A report as a file; with `snapshot` (operators) the device is asked for an image."""
        user, body = _user(request), await _body(request)
        asked = {
            part: take_text(body, part, "", longest=200) for part in ("site", "device", "camera", "alert")
        }
        now = clock.wall()
        within = take_number(body, "from", now - HOUR, minimum=0), take_number(body, "to", now, minimum=0)
        made = await run_in_threadpool(_reported, parts.queries, asked, within)
        if take_flag(body, "snapshot", False) and asked["camera"]:
            _operator(request)
            made = replace(made, **await snapshot(asked, user))
        headers = {"content-disposition": "attachment; filename=report.html"}
        return Response(report_page(made), media_type="text/html; charset=utf-8", headers=headers)

    async def snapshot(asked: Mapping[str, str], user: User) -> dict[str, Any]:
        try:
            args = {"camera": asked["camera"], "who": user.name}
            return snapshot_of(await send(asked, "snapshot", args))
        except VedetteError as error:
            return {"image_note": f"no image: {error}"}

    async def remove_ghosts(request: Request) -> Response:
        _operator(request)
        device = take_text(await _body(request), "device", longest=200)
        return JsonResponse(await parts.ghosts.remove(device, clock.wall()))

    async def logout(request: Request) -> Response:
        if parts.access.sessions is not None:
            parts.access.sessions.end(request.cookies.get(COOKIE, ""))
        answer = JsonResponse({})
        answer.delete_cookie(COOKIE)
        return answer

    return {
        "/api/command": command,
        "/api/reference": reference,
        "/api/report": report,
        "/api/ghosts/remove": remove_ghosts,
        "/api/logout": logout,
    }


class _Login:
    """`/api/login`: one password at a time, since a hash takes memory and a core."""

    def __init__(self, access: Access) -> None:
        self._access, self._one = access, asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One login."""
        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        sessions = self._access.sessions
        if sessions is None:
            return JSONResponse({"error": "there is no login here"}, 404)
        try:
            body = await _body(request)
            name, password = (take_text(body, part, longest=200) for part in ("name", "password"))
        except BadInput as error:
            return JSONResponse({"error": str(error)}, 400)
        sources = (f"address {request.client.host if request.client else ''}", f"name {name}")
        async with self._one:
            wait = sessions.wait_seconds(sources, clock.monotonic())
            if wait:
                reason = f"too many failed logins: try again in {wait:.0f} s"
                return JSONResponse({"error": reason}, 429, headers={"retry-after": f"{wait:.0f}"})
            account = sessions.account(name)
            if not await run_in_threadpool(fits, account, password):
                sessions.failed(sources, clock.monotonic())
                return JSONResponse({"error": "name or password is wrong"}, 403)
        answer = JSONResponse({})
        answer.set_cookie(
            COOKIE, sessions.begin(name, account.role, clock.monotonic()), httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer


# -- of a request --------------------------------------------------------------------------------------------------


def _user(request: Request) -> User:
    user: User = request.state.user
    return user


def _operator(request: Request) -> User:
    user = _user(request)
    if user.role != "operator":
        raise HTTPException(403, "this needs the role operator")
    return user


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent, of at most 16 kB and within BODY_SECONDS; raises BadInput."""
    try:
        return parse_object(await asyncio.wait_for(_sent(request), BODY_SECONDS))
    except asyncio.TimeoutError:
        raise BadInput(f"it takes longer than {BODY_SECONDS:.0f} s") from None


async def _sent(request: Request) -> bytes:
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > LARGEST_REQUEST:
            raise BadInput(f"more than {LARGEST_REQUEST} bytes")
    return data


def _key(request: Request) -> tuple[str, str, str]:
    asked = request.query_params
    return asked.get("site", ""), asked.get("device", ""), asked.get("entity", "")


def _span(request: Request) -> QuerySpan:
    now, asked = clock.wall(), request.query_params
    start, end = _number(asked.get("from", str(now - HOUR))), _number(asked.get("to", str(now)))
    if not 0 < end - start <= LONGEST_SPAN:
        raise BadInput("`from` and `to` give no range of time")
    return span(start, end, now)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadInput("a number is expected") from None
    if not 0 <= value < 1e11:
        raise BadInput("a Unix time is expected")
    return value


def _reported(queries: Queries, asked: Mapping[str, str], within: tuple[float, float]) -> Contents:
    """The report about an alert, or about a camera or device in a range."""
    site, device, camera = asked["site"], asked["device"], asked["camera"]
    if asked["alert"]:
        return report_of_alert(queries, alert_of(queries, asked["alert"], site, device), clock.wall())
    if not 0 < within[1] - within[0] <= LONGEST_SPAN:
        raise BadInput("`from` and `to` give no range of time")
    return report_of(queries, (site, device, f"camera/{camera}" if camera else ""), *within)


def _compared(queries: Queries, key: tuple[str, str, str], within: QuerySpan, feature: str) -> dict[str, Any]:
    """The newest message of sketches in the range against all that came before it."""
    bodies = queries.sketches(key, within)
    return drift.compare(bodies[:-1], bodies[-1:], feature) | {
        "features": drift.features_in(bodies),
        "hours": len(bodies),
        "start": bodies[-1].get("start") if bodies else None,
        "end": bodies[-1].get("end") if bodies else None,
    }


def _csv(columns: list[str], rows: Any) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_no_formula(name) for name in columns])
    writer.writerows(rows)
    headers = {"content-disposition": "attachment; filename=curves.csv"}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _no_formula(text: str) -> str:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
