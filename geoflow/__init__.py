"""geoflow: 3D shapes in one or a few network calls, by cumulative flow maps.

    import geoflow
    chairs = geoflow.load_generator("objects").generate(n=4, steps=2, category="chair", seed=0)

Read `geoflow/transport.py` first to learn the method.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoflow.cloud_mesher import CloudMesher as CloudMesher
    from geoflow.files import write_atomically as write_atomically
    from geoflow.geometry.export import write_mesh as write_mesh
    from geoflow.geometry.mesh import SurfaceMesh as SurfaceMesh
    from geoflow.geometry.mesh import describe as describe
    from geoflow.geometry.mesh import simplify as simplify
    from geoflow.geometry.skinning import Skin as Skin
    from geoflow.geometry.userfiles import read_user_cloud as read_user_cloud
    from geoflow.geometry.userfiles import read_user_mesh as read_user_mesh
    from geoflow.joints import JointPredictor as JointPredictor
    from geoflow.joints import Skeleton as Skeleton
    from geoflow.joints import load_joint_predictor as load_joint_predictor
    from geoflow.noises import Noise as Noise
    from geoflow.pipelines import ObjectGenerator as ObjectGenerator
    from geoflow.pipelines import has_checkpoint as has_checkpoint
    from geoflow.pipelines import load_generator as load_generator
    from geoflow.point_generator import PointGenerator as PointGenerator
    from geoflow.preview import trace_grid as trace_grid
    from geoflow.rigging import RiggedMesh as RiggedMesh
    from geoflow.rigging import rig_mesh as rig_mesh
    from geoflow.rigging import upright as upright
    from geoflow.rigging import write_rig as write_rig
    from geoflow.threads import single_threaded_torch as single_threaded_torch

__version__ = "0.1.0"
__all__ = [
    "CloudMesher",
    "JointPredictor",
    "Noise",
    "ObjectGenerator",
    "PointGenerator",
    "RiggedMesh",
    "Skeleton",
    "Skin",
    "SurfaceMesh",
    "__version__",
    "describe",
    "has_checkpoint",
    "load_generator",
    "load_joint_predictor",
    "read_user_cloud",
    "read_user_mesh",
    "rig_mesh",
    "simplify",
    "single_threaded_torch",
    "trace_grid",
    "upright",
    "write_atomically",
    "write_mesh",
    "write_rig",
]

_WHERE = {
    "CloudMesher": "cloud_mesher",
    "JointPredictor": "joints",
    "Skeleton": "joints",
    "load_joint_predictor": "joints",
    "Noise": "noises",
    "ObjectGenerator": "pipelines",
    "PointGenerator": "point_generator",
    "RiggedMesh": "rigging",
    "Skin": "geometry.skinning",
    "SurfaceMesh": "geometry.mesh",
    "describe": "geometry.mesh",
    "has_checkpoint": "pipelines",
    "load_generator": "pipelines",
    "read_user_cloud": "geometry.userfiles",
    "read_user_mesh": "geometry.userfiles",
    "rig_mesh": "rigging",
    "simplify": "geometry.mesh",
    "single_threaded_torch": "threads",
    "trace_grid": "preview",
    "upright": "rigging",
    "write_atomically": "files",
    "write_mesh": "geometry.export",
    "write_rig": "rigging",
}


def __getattr__(name: str) -> Any:
    """Imports torch and the rest only when something that needs it is asked for."""
    if name in _WHERE:
        return getattr(importlib.import_module(f"geoflow.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'geoflow' has no attribute {name!r}")
