"""The table of recipes; each is a function in its application's room."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from geoflow.checks import one_of
from geoflow.clouds.recipes import POINT_FORMS, objects_points
from geoflow.joints.recipes import JOINT_FORMS, characters_joints
from geoflow.shapes.recipes import (
    objects_latents,
    objects_sdf,
    objects_sdf_tiny,
    objects_surface,
    shape_autoencoder,
)
from geoflow.surface.recipes import SURFACE_FORMS, shape_distribution
from geoflow.training.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "shape-autoencoder": shape_autoencoder,
    "objects-latents": objects_latents,
    "objects-sdf": objects_sdf,
    "objects-sdf-tiny": objects_sdf_tiny,
    "objects-surface": objects_surface,
    **{name: partial(objects_points, form) for form, (name, *_) in POINT_FORMS.items()},
    **{name: partial(characters_joints, form) for form, (name, *_) in JOINT_FORMS.items()},
    **{name: partial(shape_distribution, form) for form, (name, *_) in SURFACE_FORMS.items()},
}


def get_recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        ValueError: unknown name; lists the names and the nearest.
    """
    one_of("recipe", name, RECIPES)
    return RECIPES[name]()
