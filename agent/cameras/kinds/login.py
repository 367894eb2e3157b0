"""The login at a camera: from its keys, its url or its password file, which is read at each connect."""

from __future__ import annotations

from typing import Protocol

import structlog

from agent.cameras.address import Address, address
from agent.core.errors import CameraError, CameraFailure
from agent.core.secret import Masked, Secret, begins_with_mark, first_line

log = structlog.get_logger("vedette.cameras")


class LoginOptions(Protocol):
    """The settings of a camera that is logged in to."""

    @property
    def url(self) -> Masked:
        """Where it is."""

    @property
    def username(self) -> str:
        """User name (goes before one in the url)."""

    @property
    def password(self) -> Secret:
        """Password (goes before one in the url)."""

    @property
    def password_file(self) -> str:
        """File whose first line is the password, "" for none."""


def logged_in(camera: str, options: LoginOptions) -> Address:
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
