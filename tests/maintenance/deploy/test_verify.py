"""What a hostile sender can do to a model on its way: none of it gets past the verification."""

import base64
import hashlib
import json
import os
import sys
from dataclasses import replace

import pytest

from agent.core.errors import MissingExtra, ModelError
from agent.detection.opening import DEMO_MODEL
from agent.maintenance.deploy import signing
from agent.maintenance.deploy.model_store import Copied
from agent.maintenance.deploy.signing import SignedModel
from agent.maintenance.deploy.state import Models, ModelVersion
from agent.maintenance.deploy.verify import Claim, verify
from tests.maintenance.deploy.conftest import signature

NOW = 1_800_000_000.0
FRESH = Models(config_path="")


def copied(path):
    data = path.read_bytes()
    return Copied(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


@pytest.fixture
def model(other_model):
    return copied(other_model)


def signed(pair, model, **changes):
    return Claim(name="yard.onnx", signature=signature(pair[0], model.path, model.sha256, **changes))


def test_a_signed_model_of_a_known_key_passes_with_its_version(model, key_pair):
    found = verify(model, signed(key_pair, model, version=4, expires=NOW + 1), FRESH, [key_pair[1]], NOW)
    assert found == ModelVersion(sha256=model.sha256, name="yard", version=4)


def test_one_of_several_keys_is_enough(model, key_pair, tmp_path):
    other = tmp_path / "other.pub"
    other.write_bytes(signing.public_text(signing.new_key().public_key()))
    verify(model, signed(key_pair, model), FRESH, [str(other), key_pair[1]], NOW)
    with pytest.raises(ModelError, match="by none of the keys"):
        verify(model, signed(key_pair, model), FRESH, [str(other)], NOW)


def test_without_a_key_the_digest_alone_counts(model):
    verify(model, Claim(name="m"), FRESH, [], NOW)
    verify(model, Claim(name="m", sha256=model.sha256), FRESH, [], NOW)
    with pytest.raises(ModelError, match="was changed or cut off"):
        verify(model, Claim(name="m", sha256="0" * 64), FRESH, [], NOW)


def test_unsigned_is_refused_where_a_key_is_configured(model, key_pair):
    with pytest.raises(ModelError, match="not signed"):
        verify(model, Claim(name="m", sha256=model.sha256), FRESH, [key_pair[1]], NOW)


def test_the_signature_of_another_file_is_refused(model, key_pair):
    claim = Claim(name="m", signature=signature(key_pair[0], model.path, "a" * 64))
    with pytest.raises(ModelError, match="of another file"):
        verify(model, claim, FRESH, [key_pair[1]], NOW)


def test_an_expired_signature_is_refused(model, key_pair):
    with pytest.raises(ModelError, match="expired on"):
        verify(model, signed(key_pair, model, expires=NOW), FRESH, [key_pair[1]], NOW)


def test_an_older_version_is_refused_unless_a_person_says_so(model, key_pair):
    known = replace(FRESH, floor=5)
    claim = signed(key_pair, model, version=4)
    with pytest.raises(ModelError, match="--older"):
        verify(model, claim, known, [key_pair[1]], NOW)
    verify(model, replace(claim, older=True), known, [key_pair[1]], NOW)


def test_the_model_in_force_is_not_deployed_again(model):
    with pytest.raises(ModelError, match="in force already"):
        verify(model, Claim(name="m"), replace(FRESH, good=ModelVersion(sha256=model.sha256)), [], NOW)


def test_every_changed_byte_of_a_signature_is_found(model, key_pair):
    envelope = signature(key_pair[0], model.path, model.sha256)
    keys = [key_pair[0].public_key()]
    assert signing.verify(envelope, keys).sha256 == model.sha256
    body = json.loads(envelope)
    for place in ("payload", "sig"):
        raw = base64.b64decode(body["payload"] if place == "payload" else body["signatures"][0]["sig"])
        for at in range(len(raw)):
            changed = json.loads(envelope)
            data = base64.b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).decode()
            if place == "payload":
                changed["payload"] = data
            else:
                changed["signatures"][0]["sig"] = data
            with pytest.raises(ModelError):
                signing.verify(json.dumps(changed).encode(), keys)
    for length in range(0, len(envelope) - 2, 5):
        with pytest.raises(ModelError):
            signing.verify(envelope[:length], keys)


def envelope_of(key, statement):
    payload = json.dumps(statement).encode()
    signature = key.sign(signing._authenticated(payload))
    return json.dumps(
        {
            "payloadType": signing.PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        }
    ).encode()


def test_a_statement_of_another_shape_is_refused_even_if_it_is_signed(model):
    key = signing.new_key()
    good = json.loads(signing.statement(SignedModel(name="m", sha256=model.sha256, version=1, expires=None)))
    assert signing.verify(envelope_of(key, good), [key.public_key()])
    resource = good["predicate"]["resources"][0]
    for change in (
        {"_type": "other"},
        {"predicateType": "https://slsa.dev/provenance/v1"},
        {"predicate": 3},
        {"predicate": {**good["predicate"], "resources": [resource, resource]}},
        {"predicate": {**good["predicate"], "resources": [{**resource, "digest": "../../x"}]}},
        {"predicate": {**good["predicate"], "resources": [{**resource, "algorithm": "md5"}]}},
        {"predicate": {**good["predicate"], "version": 0}},
        {"predicate": {**good["predicate"], "version": 1.5}},
        {"predicate": {**good["predicate"], "expires": "soon"}},
    ):
        with pytest.raises(ModelError, match="cannot be used"):
            signing.verify(envelope_of(key, {**good, **change}), [key.public_key()])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b"{" + b" " * 70_000 + b"}",
        b"\xff" * 100,
        json.dumps({"payloadType": 1}).encode(),
    ],
    ids=["empty", "object", "deep", "huge", "noise", "type"],
)
def test_what_is_no_signature_is_refused_in_one_line(text):
    with pytest.raises(ModelError, match="cannot be read") as caught:
        signing.verify(text, [signing.new_key().public_key()])
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_refused_by_its_own_name(tmp_path):
    for name, content in {
        "pickle.pt": b"\x80\x04\x95" + b"x" * 50,
        "cut": DEMO_MODEL.read_bytes()[:-100],
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"yard\.onnx is not an ONNX file") as caught:
            verify(copied(path), Claim(name="yard.onnx"), FRESH, [], NOW)
        assert str(tmp_path) not in str(caught.value)


def test_weights_in_another_file_are_refused(tmp_path):
    import onnx

    model = onnx.load(DEMO_MODEL)
    path = tmp_path / "split.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="split.bin", size_threshold=0)
    with pytest.raises(ModelError, match="save it as one file"):
        verify(copied(path), Claim(name="split.onnx"), FRESH, [], NOW)


def with_operator(path, domain, name, defined=False):
    """The demo model with one more node, and the function that it calls where that is `defined`."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(DEMO_MODEL)
    model.graph.node.append(
        onnx.helper.make_node(name, [model.graph.output[0].name], ["more"], domain=domain)
    )
    model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    if defined:
        inner = onnx.helper.make_node("Identity", ["x"], ["y"])
        opsets = [onnx.helper.make_opsetid("", 17)]
        model.functions.append(onnx.helper.make_function(domain, name, ["x"], ["y"], [inner], opsets))
    onnx.save(model, path)
    return path


def test_operators_that_no_runtime_here_brings_are_named_before_it_is_loaded(tmp_path):
    path = with_operator(tmp_path / "own.onnx", "acme.vision", "FastNMS")
    with pytest.raises(ModelError, match=r"brings: acme\.vision\.FastNMS; export"):
        verify(copied(path), Claim(name="own.onnx"), FRESH, [], NOW)
    for number, (domain, defined) in enumerate([("acme.vision", True), ("com.microsoft", False)]):
        known = with_operator(tmp_path / f"{number}.onnx", domain, "Gelu", defined)
        assert verify(copied(known), Claim(name="known.onnx"), FRESH, [], NOW).name == "known"


def test_keys_that_are_none_are_refused_and_never_shown(tmp_path):
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    secret = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    cases = {
        "text": secret,
        "big": b"x" * 20_000,
        "curve": signing.public_text(generate_private_key(SECP256R1()).public_key()),
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        for read in (signing.read_public_key, signing.read_private_key):
            with pytest.raises(ModelError, match=name) as caught:
                read(tmp_path / name)
            assert "c2VjcmV0" not in str(caught.value)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="not a plain file"):
        signing.read_public_key(tmp_path / "pipe")


def test_keys_come_back_as_they_were_written(tmp_path):
    key = signing.new_key()
    (tmp_path / "k").write_bytes(signing.private_text(key))
    assert signing.key_id(signing.read_private_key(tmp_path / "k").public_key()) == signing.key_id(
        key.public_key()
    )


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(MissingExtra, match="deploy"):
        signing.new_key()
