"""Checkpoints: what comes back, how exactly, and that every kind of damage is one clear line."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import geoflow.model.checkpoint
from geoflow.model.checkpoint import (
    dequantise,
    load_checkpoint,
    quantise,
    save_checkpoint,
    write_atomically,
)

CONFIG = {"kind": "test", "network": {"name": "N", "arguments": {"width": 8}}}


def make_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    rows = torch.logspace(-3, 1, 24)[:, None]  # rows of very different size
    return {
        "linear.weight": rows * torch.randn(24, 40, generator=g),
        "linear.bias": torch.randn(24, generator=g),
        "conv.weight": torch.randn(4, 3, 2, 2, 2, generator=g),
        "empty.weight": torch.zeros(3, 5),
        "single": torch.randn((), generator=g),
    }


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(tmp_path / "ckpt", CONFIG, make_weights())
    return tmp_path / "ckpt"


def refuse(folder: Path, *words: str) -> None:
    with pytest.raises(ValueError) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    for word in words:
        assert word in message


def edit_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(("dtype", "relative"), [("float32", 0.0), ("float16", 2**-11)])
def test_round_trip(tmp_path, dtype, relative):
    weights = make_weights()
    save_checkpoint(tmp_path / "new" / "ckpt", CONFIG, weights, dtype)
    config, back, digest = load_checkpoint(tmp_path / "new" / "ckpt")
    assert config["network"] == CONFIG["network"] and config["weights"]["dtype"] == dtype
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        assert back[name].dtype == torch.float32 and back[name].shape == value.shape
        assert ((back[name] - value).abs() <= relative * value.abs() + 1e-7 * (relative > 0)).all()
    assert len(digest) == 64
    assert digest == load_checkpoint(tmp_path / "new" / "ckpt")[2]


def test_int8_keeps_every_row_to_half_a_step(tmp_path):
    weights = make_weights()
    save_checkpoint(tmp_path, CONFIG, weights, "int8")
    _, back, _ = load_checkpoint(tmp_path)
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        if value.dim() < 2:
            assert torch.equal(back[name], value)
            continue
        rows = value.flatten(1)
        step = rows.abs().amax(1, keepdim=True) / 127
        error = (back[name].flatten(1) - rows).abs()
        assert (error <= 0.5001 * step).all()
        assert value.abs().max() == 0 or error.max() > 0  # it is int8, not a copy


def test_int8_is_a_quarter_of_float32():
    def size(dtype):
        stored = quantise({"w": torch.randn(256, 512)}, dtype)
        return sum(v.numel() * v.element_size() for v in stored.values())

    assert size("float16") == size("float32") / 2
    assert size("int8") < 0.26 * size("float32")


def test_quantising_twice_changes_nothing():
    once = dequantise(quantise(make_weights(), "int8"))
    twice = dequantise(quantise(once, "int8"))
    for name, value in once.items():
        assert torch.allclose(twice[name], value, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_weight_may_be_called_scale(dtype):
    weights = {"norm.scale": torch.ones(4), "scale": torch.ones(2, 3), "w": torch.ones(2, 3)}
    back = dequantise(quantise(weights, dtype))
    assert back.keys() == weights.keys()
    assert all(torch.allclose(back[name], value) for name, value in weights.items())


def test_two_weights_of_one_name_in_int8_are_refused():
    with pytest.raises(ValueError, match="a weight has it; rename that or use float16"):
        quantise({"w": torch.ones(2, 3), "w.scale": torch.ones(2)}, "int8")


def test_unknown_dtype_is_named(tmp_path):
    with pytest.raises(ValueError, match="dtype must be one of float32, float16, int8; got 'int4'"):
        save_checkpoint(tmp_path, CONFIG, make_weights(), "int4")


def test_shards_stay_below_16_megabytes(tmp_path):
    weights = {f"layer{i}": torch.full((1000, 1100), float(i)) for i in range(9)}
    save_checkpoint(tmp_path, CONFIG, weights, "float32")
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) == 3  # 3 x 4.4 MB in each
    assert all(shard.stat().st_size <= 16_000_000 for shard in shards)
    for k, shard in enumerate(shards, 1):  # the name holds a part of the sum
        digest = hashlib.sha256(shard.read_bytes()).hexdigest()
        assert shard.name == f"model-{k:05d}-of-00003-{digest[:12]}.safetensors"
    assert sorted(json.loads((tmp_path / "config.json").read_text())["weights"]["files"]) == [
        s.name for s in shards
    ]
    _, back, _ = load_checkpoint(tmp_path)
    assert all(torch.equal(back[name], value) for name, value in weights.items())


def test_int8_scales_may_lie_in_another_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(geoflow.model.checkpoint, "SHARD_BYTES", 1000)
    save_checkpoint(tmp_path, CONFIG, make_weights(), "int8")
    shards = [set(load_file(path)) for path in tmp_path.glob("*.safetensors")]
    assert not any({"linear.weight", "linear.weight.scale"} <= names for names in shards)
    _, back, _ = load_checkpoint(tmp_path)
    assert (back["linear.weight"] - make_weights()["linear.weight"]).abs().max() < 0.2


def test_weights_too_large_for_float16_are_refused(tmp_path):
    weights = make_weights() | {"linear.bias": torch.tensor([1e6])}
    with pytest.raises(ValueError, match=r"linear\.bias must fit float16; .* use float32"):
        save_checkpoint(tmp_path, CONFIG, weights)
    save_checkpoint(tmp_path, CONFIG, weights, "float32")
    assert load_checkpoint(tmp_path)[1]["linear.bias"].item() == 1e6


def test_other_peoples_shards_stay(tmp_path):
    theirs = tmp_path / "model-00001-of-00002.safetensors"
    theirs.write_bytes(b"mine")
    for _ in range(2):
        save_checkpoint(tmp_path, CONFIG, make_weights())
    assert theirs.read_bytes() == b"mine"


def test_a_smaller_checkpoint_leaves_no_old_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(geoflow.model.checkpoint, "SHARD_BYTES", 1000)
    save_checkpoint(tmp_path, CONFIG, make_weights())
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    monkeypatch.undo()
    save_checkpoint(tmp_path, CONFIG, make_weights(1))
    config, shard = sorted(p.name for p in tmp_path.iterdir())
    assert config == "config.json" and shard.startswith("model-00001-of-00001-")
    assert torch.allclose(
        load_checkpoint(tmp_path)[1]["linear.bias"], make_weights(1)["linear.bias"], atol=1e-2
    )


def test_other_weights_have_another_digest(tmp_path):
    digests = set()
    for seed in (0, 1):
        save_checkpoint(tmp_path / str(seed), CONFIG, make_weights(seed))
        digests.add(load_checkpoint(tmp_path / str(seed))[2])
    assert len(digests) == 2


# -- damage --------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_truncated_shard(folder, keep):
    shard = next(folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:keep])
    refuse(folder, shard.name, "truncated or altered", "copy it again")


def test_altered_shard(folder):
    shard = next(folder.glob("*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-3] ^= 1
    shard.write_bytes(bytes(data))
    refuse(folder, shard.name, "truncated or altered")


def test_missing_shard(folder):
    shard = next(folder.glob("*.safetensors"))
    shard.unlink()
    refuse(folder, shard.name, "is missing", "copy the whole folder again")


def test_shard_that_is_not_safetensors(folder):
    shard = next(folder.glob("*.safetensors"))
    shard.write_bytes(b"PK\x03\x04 a zip, or a pickle, with the right sum")
    files = {shard.name: hashlib.sha256(shard.read_bytes()).hexdigest()}
    edit_config(folder, weights={"dtype": "float16", "files": files})
    refuse(folder, shard.name, "is not safetensors")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version(folder, version):
    edit_config(folder, version=version)
    refuse(folder, f"has version {version}", "reads version 1", "install the geoflow that wrote it")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe\x00", b'{"format": "geoflow-checkpoint",\n']
)
def test_config_that_is_not_json(folder, text):
    (folder / "config.json").write_bytes(text)
    refuse(folder, "config.json", "is not JSON")


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"format": "other", "version": 1}'])
def test_config_of_something_else(folder, text):
    (folder / "config.json").write_text(text)
    refuse(folder, "it is not a geoflow checkpoint")


@pytest.mark.parametrize(
    "weights", [{}, {"files": []}, {"files": None}, {"files": {"model": 3}}, None, [], "model"]
)
def test_config_without_a_list_of_files(folder, weights):
    edit_config(folder, weights=weights)
    refuse(folder, "config.json", "lists no weight files")


def test_no_folder_and_no_config(folder, tmp_path):
    refuse(tmp_path / "nowhere", "a checkpoint is a folder with config.json", "nowhere")
    (folder / "config.json").unlink()
    refuse(folder, "a checkpoint is a folder with config.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_weights_that_are_not_numbers(tmp_path, value, dtype):
    weights = make_weights()
    weights["linear.bias"][3] = value
    save_checkpoint(tmp_path, CONFIG, weights, dtype)
    refuse(tmp_path, "holds NaN or infinity in linear.bias", "use another checkpoint")


def test_nan_in_an_int8_matrix(tmp_path):
    weights = make_weights()
    weights["linear.weight"][3, 4] = float("nan")
    save_checkpoint(tmp_path, CONFIG, weights, "int8")
    refuse(tmp_path, "holds NaN or infinity in linear.weight")


@pytest.mark.parametrize("scale", [None, torch.ones(()), torch.ones(5)])
def test_int8_without_its_scale(tmp_path, scale):
    save_checkpoint(tmp_path, CONFIG, make_weights(), "int8")
    shard = next(tmp_path.glob("*.safetensors"))
    tensors = load_file(shard)
    del tensors["linear.weight.scale"]
    if scale is not None:
        tensors["linear.weight.scale"] = scale
    save_file(tensors, shard)
    files = {shard.name: hashlib.sha256(shard.read_bytes()).hexdigest()}
    edit_config(tmp_path, weights={"dtype": "int8", "files": files})
    refuse(tmp_path, "linear.weight")


def test_a_shard_name_cannot_leave_the_folder(folder, tmp_path):
    shard = next(folder.glob("*.safetensors"))
    outside = tmp_path / shard.name
    os.replace(shard, outside)
    files = {f"../{shard.name}": hashlib.sha256(outside.read_bytes()).hexdigest()}
    edit_config(folder, weights={"dtype": "float16", "files": files})
    refuse(folder, "is missing")


# -- interruption --------------------------------------------------------------------------


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomically(path, b"old")

    def fail(*args):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def cut_off(folder: Path, monkeypatch, seed: int) -> None:
    """Saves, and dies before config.json is written."""

    def fail(path, data):
        if path.name == "config.json":
            raise OSError("killed")
        write_atomically(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(geoflow.model.checkpoint, "write_atomically", fail)
        with pytest.raises(OSError, match="killed"):
            save_checkpoint(folder, CONFIG, make_weights(seed))


def test_a_first_save_that_was_cut_off_is_no_checkpoint(tmp_path, monkeypatch):
    cut_off(tmp_path, monkeypatch, 0)
    refuse(tmp_path, "a checkpoint is a folder with config.json")
    save_checkpoint(tmp_path, CONFIG, make_weights())
    assert load_checkpoint(tmp_path)[1].keys() == make_weights().keys()


def test_a_later_save_that_was_cut_off_keeps_the_old_checkpoint(folder, monkeypatch):
    before = load_checkpoint(folder)[2]
    cut_off(folder, monkeypatch, 1)
    assert len(list(folder.iterdir())) == 3 and load_checkpoint(folder)[2] == before
    (folder / ".model-00001-of-00001-0123456789ab.safetensors.99.tmp").write_bytes(b"killed")
    save_checkpoint(folder, CONFIG, make_weights(1))
    assert load_checkpoint(folder)[2] != before
    assert len(list(folder.iterdir())) == 2  # nothing of the old one is left
