"""The cameras' servers and files, for the tests of many cameras in one agent."""

from tests.cameras.conftest import _free_port, _rtsp_here, listening, rtsp, video  # noqa: F401  (fixtures)
