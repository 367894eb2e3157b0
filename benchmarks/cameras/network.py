"""What networks and servers do to an RTSP camera: when it is noticed, as what, and when frames flow again.

python -m benchmarks.cameras network ../shared/videos/car-detection.mp4 [--reconnects 1000]
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av

from agent.cameras import reader as reader_module
from agent.core import memory as heap
from benchmarks.cameras.bench import Proxy, RtspServer, Watched, held, rtsp, stream

OUTAGE = 3.0


def text(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def row(what: str, watched: Watched, began: float, restored: float | None, mark: int) -> None:
    """Print when `down` was told after `began`, as what, and the first frame after `restored`."""
    down = next((told for told in watched.told[mark:] if told.state == "down"), None)
    back = None
    if restored is not None:
        online = watched.wait("online", after=down.place if down else mark, timeout=60)
        back = online.at - restored if online else None
    failure = down.failure if down else "–"
    print(f"| {what} | {text(down.at - began if down else None)} | {failure} | {text(back)} |", flush=True)


def outage(
    transport: str, what: str, hurt: Callable[[RtspServer], None], mend: Callable[[RtspServer], None]
) -> None:
    """A server that is hurt for some seconds and then mended."""
    with rtsp() as server, Watched(stream(server.url, transport=transport)) as watched:
        assert watched.wait("online")
        time.sleep(1.0)
        mark, began = len(watched.told), time.monotonic()
        hurt(server)
        assert watched.wait("down", after=mark, timeout=40)
        time.sleep(OUTAGE)
        mend(server)
        row(f"{what}, {transport}", watched, began, time.monotonic(), mark)


def restart(server: RtspServer) -> None:
    server.kill()
    server.start()


def outages() -> None:
    for transport in ("tcp", "udp"):
        outage(transport, "server killed, started again", RtspServer.kill, lambda s: s.start())
        outage(transport, "killed, comes back in another size", RtspServer.kill, lambda s: s.start("wide"))
        outage(transport, "server hangs, is started anew", lambda s: s.signal(signal.SIGSTOP), restart)
    outage(
        "tcp",
        "server hangs, and goes on",
        lambda s: s.signal(signal.SIGSTOP),
        lambda s: s.signal(signal.SIGCONT),
    )


def absent() -> None:
    """Not there at boot, there later."""
    with rtsp() as server:
        server.kill()
        with Watched(stream(server.url)) as watched:
            began = time.monotonic()
            watched.wait("down")
            time.sleep(OUTAGE)
            server.start()
            row("refuses connections at boot", watched, began, time.monotonic(), 0)


def silent() -> None:
    """Accepts connections and says nothing, then lets them through."""
    with rtsp() as server:
        proxy = Proxy(server.port, "hold")
        proxy.start()
        with Watched(stream(f"rtsp://127.0.0.1:{proxy.port}/live")) as watched:
            began = time.monotonic()
            watched.wait("down", timeout=40)
            proxy.mode = "pass"
            row("accepts and says nothing (timeout 10 s)", watched, began, time.monotonic(), 0)
        proxy.close()


def login() -> None:
    """A wrong password, for a minute."""
    with rtsp("live", "user", "right") as server:
        proxy = Proxy(server.port)
        proxy.start()
        with Watched(stream(f"rtsp://user:wrong@127.0.0.1:{proxy.port}/live")) as watched:
            began = time.monotonic()
            watched.wait("down")
            time.sleep(55)
            row(f"wrong password (connections in 55 s: {proxy.connections})", watched, began, None, 0)
        proxy.close()


def quality(
    what: str, seconds: float = 20.0, transport: str = "tcp", pattern: str = "live", **proxied: object
) -> None:
    """Frames and states over a bad network."""
    with rtsp(pattern) as server:
        proxy = Proxy(server.port, **proxied) if proxied else None
        if proxy:
            proxy.start()
        url = f"rtsp://127.0.0.1:{proxy.port}/live" if proxy else server.url
        with Watched(stream(url, transport=transport)) as watched:
            watched.wait("online", timeout=20)
            time.sleep(seconds)
            counts = watched.reader.take_counts()
            states = " → ".join(told.state for told in watched.told)
        print(f"| {what} | {counts.seen} | {counts.failed} | {counts.reconnects} | {states} |", flush=True)
        if proxy:
            proxy.close()


def duration(video: Path) -> float:
    with av.open(str(video)) as container:
        return float(container.duration) / av.time_base


def qualities(video: Path | None) -> None:
    """Bad networks."""
    print("\n| network, for 20 s | frames | damaged, left out | reconnects | states |\n|---|---|---|---|---|")
    quality("sound, TCP", transport="tcp")
    quality("sound, UDP", transport="udp")
    quality("every 20th RTP packet lost, TCP", pattern="lossy")
    quality("every 20th RTP packet lost, UDP", pattern="lossy", transport="udp")
    quality("a byte in 2,000 damaged", mode="damage", every=2_000)
    quality("a byte in 20,000 damaged", mode="damage", every=20_000)
    if video is not None:
        quality("real video, sound", pattern=str(video.resolve()))
        rate = video.stat().st_size / duration(video)
        for share in (0.8, 0.3):
            what = f"real video, {share:.0%} of the {rate / 1000:.0f} kB/s it needs, for 45 s"
            quality(what, seconds=45.0, pattern=str(video.resolve()), mode="slow", rate=share * rate)


def reconnects(count: int) -> None:
    """Cut the connection again and again; what the process holds must stay flat."""
    heap.share_arenas()  # as the agent does
    setattr(reader_module, "after_failure", lambda state, *_: (state, 0.0))  # noqa: B010  (not a name that it exports)
    reader_module.WATCH_SECONDS = 0.02
    with rtsp() as server:
        proxy = Proxy(server.port)
        proxy.start()
        with Watched(stream(f"rtsp://127.0.0.1:{proxy.port}/live")) as watched:
            began, done, mark = time.monotonic(), 0, 0
            while done <= count:
                online = watched.wait("online", after=mark, timeout=30)
                assert online, watched.told[-3:]
                mark = online.place + 1
                if done in (10, count // 2, count):
                    print(f"| {done} | {'| '.join(f'{v:.0f} ' for v in held())}|", flush=True)
                done += 1
                proxy.cut()
                watched.arrivals.clear()
            took = time.monotonic() - began
        proxy.close()
    print(
        f"\n{count} reconnects in {took:.0f} s: {took / count * 1000:.0f} ms each, frames included",
        flush=True,
    )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?", help="an MP4 file (H.264) to send over a slow network")
    parser.add_argument("--reconnects", type=int, default=1000)
    args = parser.parse_args(argv)
    print("| what | down told after s | failure | online again after s |\n|---|---|---|---|")
    outages()
    absent()
    silent()
    login()
    qualities(args.video)
    print("\n| reconnects | handles | threads | MB |\n|---|---|---|---|")
    reconnects(args.reconnects)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
