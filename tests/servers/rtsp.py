"""A real RTSP server for tests: GStreamer's. Run by the system's Python, which has `gi`.

    /usr/bin/python3 rtsp.py PORT PATTERN [USER PASSWORD]

PATTERN is `live` (a moving test picture at 20 fps), `still` (one picture, repeated), `wide` (`live` in
another size), `lossy` (`live`, of which every twentieth packet is lost), `feed` (pictures from standard input: width
and height as two little-endian 32-bit numbers, then BGR) or the path of an MP4 file. The stream is at rtsp://127.0.0.1:PORT/live. Prints `ready`.
"""

import os
import struct
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  (the versions come first)

# Not config-interval=-1: GStreamer 1.22 then splits each key picture, and FFmpeg calls both halves damaged.
ENCODE = (
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 "
    "! rtph264pay name=pay0 pt=96 config-interval=1"
)


def pipeline(pattern: str) -> str:
    drawn = {"live": ("ball", 320, 240), "still": ("circular", 320, 240), "wide": ("ball", 480, 272)}
    if pattern == "feed":
        return f"( appsrc name=feed is-live=true do-timestamp=true format=time ! videoconvert ! {ENCODE} )"
    if pattern == "lossy":
        payload = ENCODE.replace("name=pay0 ", "")
        return f"( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=20/1 ! {payload} ! identity drop-probability=0.05 name=pay0 )"
    if pattern in drawn:
        picture, width, height = drawn[pattern]
        size = f"video/x-raw,width={width},height={height},framerate=20/1"
        return f"( videotestsrc is-live=true pattern={picture} ! {size} ! {ENCODE} )"
    return f"( filesrc location={pattern} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 )"


def main(port: str, pattern: str, user: str = "", password: str = "") -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer(service=port, address="127.0.0.1")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline(pattern))
    factory.set_shared(True)
    if user:
        protect(server, factory, user, password)
    if pattern == "feed":
        threading.Thread(target=feed, args=(factory,), daemon=True).start()
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    loop, parent = GLib.MainLoop(), os.getppid()
    GLib.timeout_add(500, lambda: os.getppid() == parent or loop.quit())  # no orphans of a killed test
    loop.run()


def feed(factory) -> None:
    """Push the pictures of standard input into whatever pipeline plays; they are lost while none does."""
    playing = []

    def configure(_factory, media):
        playing[:] = [media.get_element().get_child_by_name("feed")]

    factory.connect("media-configure", configure)
    stdin, told = sys.stdin.buffer, None
    while True:
        head = stdin.read(8)
        if len(head) < 8:
            return
        size = struct.unpack("<II", head)
        picture = stdin.read(size[0] * size[1] * 3)
        if not playing:
            continue
        if told != (playing[0], size):
            told = (playing[0], size)
            caps = f"video/x-raw,format=BGR,width={size[0]},height={size[1]},framerate=0/1"
            playing[0].set_property("caps", Gst.Caps.from_string(caps))
        playing[0].emit("push-buffer", Gst.Buffer.new_wrapped(picture))


def protect(server, factory, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    factory.add_role_from_structure(
        Gst.Structure.new_from_string("user,media.factory.access=true,media.factory.construct=true")
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
