"""The login at a camera: from its keys, its url or its password file, which is read at each connect."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from agent.cameras.address import StreamAddress, address
from agent.config.fields import seal, setting
from agent.core.errors import CameraError, CameraFailure, ConfigError
from agent.core.secret import Masked, Secret, begins_with_mark, first_line

log = structlog.get_logger("vedette.cameras")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOptions:
    """Where a camera is, and the login at it; the options of its kind say what an address is there."""

    url: Masked = setting(kind="url", doc="Where it is.")
    username: str = setting("", doc="User name at the camera (overrides one in the url).")
    password: Secret = setting("", kind="secret", doc="Password at the camera; better: password_file.")
    password_file: str = setting(
        "", kind="path", doc="File whose first line is the password; read at each connect."
    )

    def __post_init__(self) -> None:
        """Check what spans several keys."""
        seal(self)
        if self.password and self.password_file:
            raise ConfigError("is given beside password", key="password_file", expected="only one of them")


def logged_in(camera: str, options: LoginOptions) -> StreamAddress:
    """The address of `options` with its login in it; raises CameraError where the password cannot be read."""
    if not options.password_file:
        return address(options.url, options.username, options.password)
    try:
        password = first_line(options.password_file)
    except OSError as error:
        raise _unread(camera, options.password_file, f"cannot be read: {error.strerror}") from None
    marked = begins_with_mark(options.password_file)
    if not password:
        what = (
            "holds nothing but a byte order mark in its first line" if marked else "has an empty first line"
        )
        raise _unread(camera, options.password_file, f"{what}; the password must stand there")
    if marked:
        log.warning(
            "password file begins with a byte order mark, which is left out",
            camera=camera,
            file=options.password_file,
        )
    return address(options.url, options.username, password)


def _unread(camera: str, path: str, why: str) -> CameraError:
    return CameraError(f"the password file of camera '{camera}' {why}; check {path}", kind=CameraFailure.AUTH)
