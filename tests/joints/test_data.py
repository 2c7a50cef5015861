"""The training set of characters: who owns a point, what augmentation keeps."""

import numpy as np
import pytest
import torch
from toys.bodies import character

from geoflow.flow.condition import Condition
from geoflow.joints import data as characters
from geoflow.joints.data import CharacterSource, assign_points, augment, reproportion
from geoflow.joints.rigs import write_characters

CPU = torch.device("cpu")


def test_a_point_belongs_to_its_nearest_joint():
    points = np.array([[0, 0, 0], [0, 1, 0], [0, 0.4, 0]], float)
    assert assign_points(points, points[:2], 1).tolist() == [0, 1, 0]


def test_no_joint_goes_empty():
    """Ten points near joint 0; joint 1 is nearest to none and takes the two nearest to it."""
    points = np.stack([np.zeros(10), np.arange(10) * 0.1, np.zeros(10)], 1)
    joints = np.array([[0, 0.5, 0], [3, 0.9, 0.0]])
    owner = assign_points(points, joints, 2)
    assert owner.tolist() == [0] * 8 + [1] * 2


def test_targets_are_the_joints_of_the_points():
    source = CharacterSource([character(points=256)], CPU, size=128, augment=False)
    target, cond = source.batch(3, torch.Generator().manual_seed(0))
    assert target.shape == (3, 128, 3) and cond.context.shape == (3, 128, 6)
    assert cond.labels.tolist() == [1, 1, 1]
    near = (cond.context[..., None, :3] - torch.tensor(character().joints)).norm(dim=-1).argmin(-1)
    want = torch.tensor(character().joints)[near]
    torch.testing.assert_close(target, want)
    assert len(torch.unique(cond.context[0, :, :3], dim=0)) == 128  # without replacement


def test_batches_depend_on_the_generator_alone():
    source = CharacterSource([character(points=256), character("b/x", 5, 300)], CPU, size=64)
    a, b = (source.batch(4, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a[0], b[0]) and torch.equal(a[1].context, b[1].context)
    c = source.batch(4, torch.Generator().manual_seed(4))
    assert not torch.equal(a[0], c[0])


def test_augmentation_keeps_joints_in_place_inside_the_surface():
    """A joint at the centroid of a ring of points stays near that centroid."""
    g = torch.Generator().manual_seed(0)
    turn = torch.linspace(0, 6.283, 33)[:-1]
    ring = torch.stack((0.1 * turn.cos(), torch.zeros(32), 0.1 * turn.sin()), 1)
    levels = torch.tensor([[0, -0.9, 0], [0, 0.4, 0], [0, 0.9, 0]])
    points = torch.cat([ring + level for level in levels]).expand(16, -1, -1)
    normals = torch.nn.functional.normalize(ring, dim=1).repeat(3, 1).expand(16, -1, -1)
    joints = levels.expand(16, -1, -1)
    new, turned, moved = augment(points, normals, joints, torch.full((16,), 0.5), g)
    centres = new.view(16, 3, 32, 3).mean(2)
    assert float((centres - moved).norm(dim=-1).max()) < 0.01
    size = new.amax(1) - new.amin(1)
    torch.testing.assert_close(size.amax(1), torch.full((16,), 1.8))
    torch.testing.assert_close(turned.norm(dim=-1), torch.ones(16, 96))
    outward = ((new.view(16, 3, 32, 3) - centres[:, :, None]) * turned.view(16, 3, 32, 3)).sum(-1)
    assert float((outward > 0).float().mean()) > 0.97
    assert float((moved - joints).abs().mean()) > 0.02


def test_other_proportions_keep_normals_upright_on_the_surface():
    """The normals of moved small triangles are the moved normals; a share of 0 changes none."""
    g = torch.Generator().manual_seed(1)
    corner = torch.rand(64, 200, 1, 3, generator=g, dtype=torch.float64) * 1.8 - 0.9
    sides = 1e-5 * torch.randn(64, 200, 2, 3, generator=g, dtype=torch.float64)
    triangles = torch.cat((corner, corner + sides), 2)

    def normal(t: torch.Tensor) -> torch.Tensor:
        cross = torch.linalg.cross(t[:, :, 1] - t[:, :, 0], t[:, :, 2] - t[:, :, 0])
        return torch.nn.functional.normalize(cross, dim=-1)

    points, corners = corner[:, :, 0], triangles.flatten(1, 2)
    share = torch.cat((torch.zeros(16), torch.full((48,), 0.5)))
    _, turned, moved = reproportion(points, normal(triangles), corners, share, g)
    agree = (normal(moved.unflatten(1, (200, 3))) * turned).sum(-1)
    assert float(agree.min()) > 0.999
    same = (moved == corners).flatten(1).all(1)
    assert bool(same[:16].all()) and 12 < int(same[16:].sum()) < 36
    order = corners[..., 1].argsort(1)
    assert bool((moved[..., 1].gather(1, order).diff(dim=1) >= 0).all())  # nothing is turned over


def test_a_category_gets_other_proportions_as_often_as_its_share_says(monkeypatch):
    monkeypatch.setattr(characters, "PROPORTIONS", {"body": 1.0, "creature": 0.0})
    moved = []

    def watched(points, normals, joints, share, generator):
        new = reproportion(points, normals, joints, share, generator)
        moved.append((new[2] != joints).flatten(1).any(1))
        return new

    monkeypatch.setattr(characters, "reproportion", watched)
    both = [character("b/x", points=256, category="body"), character(points=256)]
    source = CharacterSource(both, CPU, size=64)
    _, cond = source.batch(64, torch.Generator().manual_seed(0))
    assert torch.equal(moved[0], cond.labels == 0) and 16 < int(moved[0].sum()) < 48


def test_a_folder_is_read_without_the_held_out_packs(tmp_path):
    write_characters(
        tmp_path / "a.npz", [character("a/x", points=2048), character("fish_pack/y", points=2048)]
    )
    write_characters(
        tmp_path / "b.npz",
        [character("c/z", points=1024, category="Animals"),
         character("d/z", points=1024, category="body")],
    )  # fmt: skip
    source = CharacterSource.open(tmp_path, CPU)
    assert len(source) == 3
    assert source.describe()["held_out_packs"] == ["fish_pack", "kaykit"]
    target, cond = source.batch(64, torch.Generator().manual_seed(0))
    assert isinstance(cond, Condition) and target.shape == (64, 1024, 3)
    assert 16 < int((cond.labels == 0).sum()) < 48


@pytest.mark.parametrize(
    ("characters", "text"),
    [
        ([], "must hold characters"),
        ([character(points=63)], "at least 64 points"),
        ([character(category="plant")], "category must be"),
    ],
)
def test_sets_that_cannot_be_trained_on(characters, text):
    with pytest.raises(ValueError, match=text):
        CharacterSource(characters, CPU, size=64)


def test_an_empty_folder_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="must hold npz files"):
        CharacterSource.open(tmp_path, CPU)
