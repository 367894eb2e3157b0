"""`vedette model keygen` and `sign`: a pair of keys, and the signature of a model that is to be deployed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agent.cli.times import length

_EPILOG = """\
examples:
  vedette model keygen --out release                      release.key (keep it secret) and release.pub (for the devices)
  vedette model sign new.onnx --key release.key --version 7 --for 90d

A device accepts models signed by one of the keys in its config: [deploy] public_keys = ["release.pub"]. The signature
is stored beside the model as NAME.onnx.sig. A device refuses a version below one that was in use on it, and an expired
signature. Keep the private key on the machine that releases models, never on a device.
"""


def add_arguments(commands: Any) -> None:
    """Declare `keygen` and `sign` among the commands of `vedette model`."""
    form = {"epilog": _EPILOG, "formatter_class": argparse.RawDescriptionHelpFormatter}
    keygen = commands.add_parser("keygen", help="make a pair of keys to sign models with", **form)
    keygen.add_argument("--out", type=Path, required=True, help="NAME: NAME.key and NAME.pub are written")
    sign = commands.add_parser("sign", help="sign a model for its deployment", **form)
    sign.add_argument("source", type=Path, help="an ONNX file")
    sign.add_argument("--key", type=Path, required=True, help="the private key (PEM, Ed25519)")
    sign.add_argument(
        "--version", type=int, required=True, help="number of the release, from 1; higher is newer"
    )
    sign.add_argument(
        "--for",
        dest="valid",
        default="",
        help="how long the model may be deployed, such as 90d (default: without end)",
    )


def run(args: argparse.Namespace) -> int:
    """Do what `args.what` names."""
    return _keygen(args) if args.what == "keygen" else _sign(args)


def _keygen(args: argparse.Namespace) -> int:
    from agent.core.errors import ModelError
    from agent.core.state_dir import write_atomic
    from agent.maintenance.deploy import signing

    private, public = (args.out.with_name(f"{args.out.name}{suffix}") for suffix in (".key", ".pub"))
    for path in (private, public):
        if path.exists():
            raise ModelError(f"{path} is there already; choose another --out")
    key = signing.new_key()
    write_atomic(private, signing.private_text(key))
    write_atomic(public, signing.public_text(key.public_key()), mode=0o644)
    print(f"{private} (keep it secret), {public}: key {signing.key_id(key.public_key())}")
    return 0


def _sign(args: argparse.Namespace) -> int:
    from agent.core import clock
    from agent.core.errors import ConfigError, ModelError
    from agent.core.state_dir import write_atomic
    from agent.detection import manifest, onnx_file
    from agent.maintenance.deploy import signing

    if not 1 <= args.version <= signing.LARGEST_VERSION:
        raise ConfigError(f"--version {args.version}", file="command line", expected="a whole number from 1")
    valid = length(args.valid, "--for", "90d") if args.valid else None
    if onnx_file.check(args.source):
        raise ModelError(f"model {args.source} keeps weights in another file: save it as one file")
    signed = signing.SignedModel(
        name=args.source.name,
        sha256=manifest.digest(args.source),
        version=args.version,
        expires=None if valid is None else clock.wall() + valid,
    )
    target = signing.path_of(args.source)
    write_atomic(target, signing.sign(signed, signing.read_private_key(args.key)), mode=0o644)
    print(f"{target}: version {signed.version}, sha256 {signed.sha256[:12]}")
    return 0
