"""The joint predictor: its contract, bad input, and that training makes it better."""

import numpy as np
import pytest
import torch
from recording import record_times
from toys.bodies import human, toy, tubes
from toys.checkpoints import predictor_of, trainer_of

import geoflow
from geoflow.joints.model import Clustering, JointPredictor
from geoflow.joints.scores import cd_j2j
from geoflow.model.checkpoint import save_checkpoint
from geoflow.model.config import read_part
from geoflow.pretrained import load_joint_predictor
from geoflow.recipes import get_recipe


@pytest.fixture(scope="module")
def untrained():
    return predictor_of(trainer_of("characters-joints", steps=10))


def score(predictor, **options):
    held_out = [toy(k) for k in range(100, 104)]
    return np.mean(
        [cd_j2j(predictor.predict(c.points, c.normals, **options).joints, c.joints)
         for c in held_out]
    )  # fmt: skip


@pytest.mark.slow
def test_training_makes_joints_better_at_one_call(untrained):
    """70 steps, the last 21 with r > t, take a third off CD-J2J at 1 and 2 calls."""
    trainer = trainer_of("characters-joints", steps=70, instant=0.7)
    for _ in range(70):
        trainer.train_step()
    trained = predictor_of(trainer)
    before = score(untrained, steps=1)
    assert score(trained, steps=1) < 0.7 * before
    assert score(trained, steps=2) < 0.7 * before


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["characters-joints-fm", "characters-joints-edm"])
def test_other_forms_are_the_same_recipe_on_another_transport(recipe):
    trainer = trainer_of(recipe, steps=26, instant=0.9)
    errors = [float(trainer.train_step()) for _ in range(26)]
    assert np.mean(errors[16:24]) < 0.8 * np.mean(errors[:6])
    assert np.isfinite(errors).all()
    toy_one = toy(100)
    joints = predictor_of(trainer).predict(toy_one.points, toy_one.normals).joints
    assert np.isfinite(joints).all()


def test_the_result_comes_in_the_frame_of_the_points(untrained):
    c = toy(1)
    here = untrained.predict(c.points, c.normals, seed=3)
    there = untrained.predict(100 * c.points + (5, 6, 7), 2 * c.normals, seed=3)
    np.testing.assert_allclose(there.joints, 100 * here.joints + (5, 6, 7), atol=0.2)
    assert here.joints.dtype == np.float32 and here.joints.shape[1] == 3
    assert here.parents.tolist().count(-1) == 1
    assert len(here.joints) == len(here.parents) == len(here.confidence)
    assert (here.confidence >= 0).all() and (here.confidence <= 1).all()


def test_seeds_repeat(untrained):
    c = toy(1)
    a, b = (untrained.predict(c.points, c.normals, seed=3) for _ in range(2))
    np.testing.assert_array_equal(a.joints, b.joints)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p, n: (p[:, :2], n), "as many, .N, 3."),
        (lambda p, n: (p, n[:-1]), "as many"),
        (lambda p, n: (p[:20], n[:20]), "at least 64 points"),
        (lambda p, n: (p * np.nan, n), "finite"),
        (lambda p, n: (p * 0, n), "span a box"),
        (lambda p, n: (p, n * 0), "normals must be finite and not zero"),
        (lambda p, n: (p, n * np.nan), "normals must be finite and not zero"),
    ],
)
def test_bad_surfaces_are_one_line(untrained, change, text):
    c = toy(1)
    with pytest.raises(ValueError, match=text) as caught:
        untrained.predict(*change(c.points, c.normals))
    assert "\n" not in str(caught.value)


def test_bad_options_are_one_line(untrained):
    c = toy(1)
    for options, text in (({"steps": 0}, "steps"), ({"category": "boddy"}, "did you mean 'body'")):
        with pytest.raises(ValueError, match=text):
            untrained.predict(c.points, c.normals, **options)


def test_checkpoints_come_from_a_folder(tmp_path):
    trainer = trainer_of("characters-joints", steps=10)
    save_checkpoint(tmp_path / "run", trainer.config(), trainer.ema.state_dict())
    c = toy(1)
    loaded = geoflow.load_joint_predictor(tmp_path / "run", "cpu")
    assert loaded.categories == ["body", "creature"]
    assert len(loaded.predict(c.points, c.normals).joints) > 1
    config = trainer.config()
    config["network"] = {"name": "GridTransformer", "arguments": {}}
    with pytest.raises(ValueError, match="JointTransformer"):
        JointPredictor(config, {}, "", torch.device("cpu"))
    with pytest.raises(ValueError, match="is not"):
        load_joint_predictor("no such folder")


def test_two_calls_meet_late_and_the_last_call_goes_to_the_mean():
    predictor, recipe = load_joint_predictor("characters"), get_recipe("characters-joints")
    sampling = predictor.sampling
    assert (sampling.lead, sampling.mean_last) == (recipe.lead, recipe.mean_last) == (0.6, True)
    asked = record_times(predictor)
    points = np.random.default_rng(0).normal(size=(64, 3)) * 0.3
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    predictor.travel(points, normals, steps=2)
    assert np.array(asked) == pytest.approx(np.array([[0, 0.8], [0.8, 0.8]]), abs=1e-4)
    asked.clear()
    predictor.travel(points, normals, steps=1)
    assert np.array(asked) == pytest.approx(np.array([[0, 0]]), abs=1e-4)


def test_clustering_of_the_config():
    def read(table):
        return read_part({"clustering": table}, "clustering", Clustering)

    assert read({}) == Clustering()
    assert read({"bandwidth": 0.02}) == Clustering(bandwidth=0.02)
    for table, text in (
        ([], "clustering must be a table"),
        ({"bandwith": 0.02}, "clustering.bandwith"),
        ({"least": 0}, "clustering.least must be greater than 0"),
        ({"least": "much"}, "clustering.least must be a valid number"),
        ({"width": float("nan")}, "clustering.width must be"),
    ):
        with pytest.raises(ValueError, match=text):
            read(table)


def test_a_resumed_run_repeats_the_whole_one(tmp_path):
    whole, first = (trainer_of("characters-joints", steps=6, instant=0.3) for _ in range(2))
    errors = [float(whole.train_step()) for _ in range(6)]
    again = [float(first.train_step()) for _ in range(3)]
    first.save(tmp_path)
    second = trainer_of("characters-joints", steps=6, instant=0.3)
    second.resume(tmp_path)
    again += [float(second.train_step()) for _ in range(3)]
    assert again == errors
    for a, b in zip(whole.ema.parameters(), second.ema.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_body_has_22_joints_even_where_two_lie_close(untrained, monkeypatch):
    rng = np.random.default_rng(0)
    places = rng.permutation(
        np.stack(np.meshgrid(*[np.linspace(-0.7, 0.7, 3)] * 3), -1).reshape(-1, 3)
    )
    joints = np.concatenate((places[:21], places[:1] + np.array([0.018, 0, 0])))
    character = toy(100, 22 * 40)
    ends = np.repeat(joints, 40, 0) + 0.003 * rng.normal(size=(22 * 40, 3))
    monkeypatch.setattr(JointPredictor, "travel", lambda *_, **__: ends.astype(np.float32))
    found = {
        kind: len(untrained.predict(character.points, character.normals, category=kind).joints)
        for kind in ("creature", "body", "any")
    }
    assert found == {"creature": 21, "body": 22, "any": 21}  # it is no humanoid


@pytest.mark.parametrize(("merged", "found"), [(1, 22), (2, 22), (3, 19)])
def test_a_figure_becomes_a_body_only_where_one_or_two_joints_lie_close(
    untrained, monkeypatch, merged, found
):
    names, joints, parents = human()
    low = names.index("spine_1")  # a 22nd joint, between it and the pelvis
    joints = np.concatenate((joints, joints[[low]] - np.array([0, 0.07, 0])))
    parents = np.append(parents, parents[low])
    parents[low] = len(parents) - 1
    surface, normals = tubes(joints, parents, 0.04, 80, 0)
    centre, scale = (surface.max(0) + surface.min(0)) / 2, 1.8 / np.ptp(surface, axis=0).max()
    gathered = (joints - centre) * scale
    for name in ("left_wrist", "right_wrist", "head")[:merged]:  # one joint moves to the next
        k = names.index(name)
        way = gathered[k] - gathered[parents[k]]
        gathered[k] = gathered[parents[k]] + 0.022 * way / np.linalg.norm(way)
    rng = np.random.default_rng(0)
    ends = np.repeat(gathered, len(surface) // 22 + 1, 0)[: len(surface)]
    ends = (ends + 0.003 * rng.normal(size=ends.shape)).astype(np.float32)
    monkeypatch.setattr(JointPredictor, "travel", lambda *_, **__: ends)
    assert len(untrained.predict(surface, normals, category="creature").joints) == 22 - merged
    assert len(untrained.predict(surface, normals).joints) == found
    assert len(untrained.predict(surface, normals, category="body").joints) == 22
