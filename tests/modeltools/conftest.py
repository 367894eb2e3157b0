"""The same models, frames and shared files as the tests of detection."""

from tests.detection.conftest import make_frame, own_log, shared, tiny  # noqa: F401  (fixtures)
