"""HLS with several variants: the best one, or the one asked for, and no other is downloaded."""

import http.server
import subprocess
import threading

import pytest

from agent.cameras.address import address
from agent.cameras.kinds.hls import Variant, choose, variant_url, variants
from agent.cameras.kinds.stream import StreamCamera

BASE = "http://h/live/master.m3u8"
MASTER = """#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="sound.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=160x96,AUDIO="a"
v96.m3u8

#EXT-X-STREAM-INF:RESOLUTION=480x288,BANDWIDTH=900000
# a remark
sub/v288.m3u8?token=1
#EXT-X-STREAM-INF:BANDWIDTH=1200000,RESOLUTION=480x288
http://other/v288.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS="mp4a.40.2"
sound.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=50000,RESOLUTION=1920x1080,URI="iframes.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=400000,RESOLUTION=320x192
/v192.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=400000,RESOLUTION=999x999
file:///etc/passwd
"""


def test_a_master_playlist_is_read_as_it_is_written():
    assert variants("\ufeff" + MASTER.replace("\n", "\r\n"), BASE) == [
        Variant(url="http://h/live/v96.m3u8", height=96, bandwidth=100_000),
        Variant(url="http://h/live/sub/v288.m3u8?token=1", height=288, bandwidth=900_000),
        Variant(url="http://other/v288.m3u8", height=288, bandwidth=1_200_000),
        Variant(url="http://h/v192.m3u8", height=192, bandwidth=400_000),
    ]


@pytest.mark.parametrize(
    "text", ["", "#EXTM3U\n#EXTINF:1,\na.ts\n", "<html>", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=x"]
)
def test_what_is_no_master_playlist_has_no_variants(text):
    assert variants(text, BASE) == []


@pytest.mark.parametrize(
    ("height", "expected"),
    [(0, 1_200_000), (288, 1_200_000), (300, 1_200_000), (200, 400_000), (96, 100_000), (50, 100_000)],
)
def test_the_best_variant_is_chosen_or_the_one_of_a_height(height, expected):
    assert choose(variants(MASTER, BASE), height).bandwidth == expected


def test_without_sizes_the_bandwidth_decides():
    found = [Variant(url="a", bandwidth=1), Variant(url="b", bandwidth=3), Variant(url="c", bandwidth=2)]
    assert choose(found, 720).url == "b"


class Served:
    """Serves a folder over HTTP, behind a login where `login` is set, and keeps what it was asked for."""

    def __init__(self, folder, redirect=""):
        self.asked, outer = [], self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=str(folder))

            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("Authorization")))
                if redirect and self.path == "/moved.m3u8":
                    self.send_response(302)
                    self.send_header("Location", redirect)
                    self.end_headers()
                    return
                super().do_GET()

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def served(tmp_path):
    heights = (96, 288, 192)
    for height in heights:
        words = (
            f"-f lavfi -i testsrc2=size={height * 5 // 3}x{height}:rate=10:duration=2 -c:v libx264 -preset ultrafast "
            f"-g 5 -hls_time 0.5 -hls_list_size 0 -hls_segment_filename {tmp_path}/v{height}_%d.ts"
        )
        path = tmp_path / f"v{height}.m3u8"
        subprocess.run(["ffmpeg", "-v", "error", "-y", *words.split(), str(path)], check=True)
    heads = [f"#EXT-X-STREAM-INF:BANDWIDTH={h}000,RESOLUTION={h * 5 // 3}x{h}\nv{h}.m3u8\n" for h in heights]
    (tmp_path / "master.m3u8").write_text("#EXTM3U\n" + "".join(heads))
    (tmp_path / "live").write_text("#EXTM3U\n" + "".join(heads))
    made = [Served(tmp_path)]
    made.append(Served(tmp_path, redirect=f"http://localhost:{made[0].http.server_port}/master.m3u8"))
    yield made
    for server in made:
        server.close()


@pytest.mark.parametrize(
    ("path", "options", "height"),
    [("/master.m3u8", {}, 288), ("/master.m3u8", {"height": 200}, 192), ("/live", {"format": "hls"}, 288)],
)
def test_only_the_chosen_variant_is_downloaded(served, path, options, height):
    camera = StreamCamera("front", StreamCamera.Options(url=served[0].url + path, **options))
    camera.open()
    shapes = {frame.image.shape[0] for frame in iter(camera.read, None)}
    camera.close()
    assert shapes == {height}
    others = [
        path
        for path, _ in served[0].asked
        if path not in {"/master.m3u8", "/live"} and f"v{height}" not in path
    ]
    assert others == []


def test_a_playlist_may_redirect_to_another_host_which_gets_no_login(served):
    here, there = served[1], served[0]
    place = address(f"{here.url}/moved.m3u8", "admin", "geheim")
    assert variant_url(place, 0, 5) == f"http://localhost:{there.http.server_port}/v288.m3u8"
    assert [login for _, login in there.asked] == [None]
    near = variant_url(address(f"{there.url}/master.m3u8", "admin", "geheim"), 0, 5)
    assert near == there.url.replace("//", "//admin:geheim@") + "/v288.m3u8"
