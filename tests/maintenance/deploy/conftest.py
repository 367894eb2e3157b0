"""A disk that keeps only what was synced, and models and keys to deploy."""

import os
import random
import stat
from pathlib import Path

import pytest

from agent.detection.opening import DEMO_MODEL
from agent.maintenance.deploy import signing
from agent.maintenance.deploy.signing import SignedModel

SYNC = os.fsync


class PowerCut(BaseException):
    """The power is cut: nothing after it runs."""


class Disk:
    """What a power cut leaves of `root`: content that was synced, names of folders that were synced.

    Watches `os.fsync` and raises PowerCut at the call number `cut_at`, before it takes effect. What was written or
    renamed and not synced may be there or not: `survivors` draws it.
    """

    def __init__(self, root, monkeypatch, cut_at=None):
        self.root, self.cut_at, self.syncs = root, cut_at, 0
        self.contents, self.folders = {}, {}
        self.off = False
        self._keep_all()
        monkeypatch.setattr(os, "fsync", self.fsync)

    def _keep_all(self):
        for folder, _, files in os.walk(self.root):
            self._keep_folder(Path(folder))
            for name in files:
                self._keep_file(Path(folder, name))

    def _keep_folder(self, path):
        self.folders[path.stat().st_ino] = {one.name: one.lstat().st_ino for one in path.iterdir()}

    def _keep_file(self, path):
        self.contents[path.lstat().st_ino] = path.read_bytes()

    def fsync(self, handle):
        if self.off:
            raise PowerCut
        self.syncs += 1
        if self.syncs == self.cut_at:
            self.off = True
            raise PowerCut
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        SYNC(handle)
        if path.is_relative_to(self.root):
            (self._keep_folder if stat.S_ISDIR(os.fstat(handle).st_mode) else self._keep_file)(path)

    def survivors(self, target, rng):
        """Write what is left below `target`."""
        now = {}
        for folder, names, files in os.walk(self.root):
            inode = Path(folder).stat().st_ino
            now[inode] = {name: Path(folder, name).lstat().st_ino for name in (*names, *files)}
            for name in files:
                path = Path(folder, name)
                now.setdefault(path.lstat().st_ino, path.read_bytes())
        self._write(self.root.stat().st_ino, target, now, rng)

    def _write(self, inode, target, now, rng):
        target.mkdir(parents=True, exist_ok=True)
        synced, present = self.folders.get(inode, {}), now.get(inode, {})
        for name in sorted({*synced, *(present if isinstance(present, dict) else {})}):
            choices = [one for one in (synced.get(name), present.get(name)) if one is not None]
            if name not in synced or name not in present:
                choices.append(None)
            chosen = rng.choice(choices)
            if chosen is None:
                continue
            if isinstance(now.get(chosen), dict) or chosen in self.folders:
                self._write(chosen, target / name, now, rng)
            else:
                (target / name).write_bytes(self._content(chosen, now, rng))

    def _content(self, inode, now, rng):
        if inode in self.contents and self.contents[inode] == now.get(inode, self.contents[inode]):
            return self.contents[inode]
        data = now.get(inode, b"")
        return data[: rng.randrange(0, len(data) + 1)]


@pytest.fixture
def disk(monkeypatch):
    return lambda root, cut_at=None: Disk(root, monkeypatch, cut_at)


@pytest.fixture
def other_model(tmp_path):
    """The demo model under another digest: its producer's name is changed by one field at the end."""
    path = tmp_path / "yard.onnx"
    path.write_bytes(DEMO_MODEL.read_bytes() + b"\x1a\x05other")  # field 3 of ModelProto: producer_version
    return path


@pytest.fixture
def key_pair(tmp_path):
    key = signing.new_key()
    path = tmp_path / "deploy.pub"
    path.write_bytes(signing.public_text(key.public_key()))
    return key, str(path)


def seeded(number):
    return random.Random(number)


def signature(key, path, digest, version=1, expires=None):
    return signing.sign(SignedModel(name=path.name, sha256=digest, version=version, expires=expires), key)
