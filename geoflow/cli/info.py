"""`geoflow info`: versions, the device, optional parts, the bundled checkpoints."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from geoflow.cli.errors import one_line


@one_line
def info() -> None:
    """Show versions, the device, optional parts and the bundled checkpoints."""
    import platform

    import torch

    from geoflow import __version__
    from geoflow.model.checkpoint import checkpoint_folder, has_checkpoint, load_checkpoint
    from geoflow.pretrained import BUNDLED

    print(f"geoflow {__version__}, Python {platform.python_version()}, {platform.platform()}")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {gpu}")
    for name, use in (
        ("open3d", "faster surfaces, decimation"),
        ("pyvista", "geoflow render"),
        ("pytorch3d", "Chamfer distances on a GPU"),
        ("igl", "data preparation"),
        ("gradio", "the app"),
        ("accelerate", "training"),
    ):
        version = "not found"
        if importlib.util.find_spec(name) is not None:
            owners = importlib.metadata.packages_distributions().get(name, [name])
            version = importlib.metadata.version(owners[0])
        print(f"{name} {version} ({use})")
    for name in BUNDLED:
        if has_checkpoint(name):
            folder = checkpoint_folder(name, [name])
            config, weights, digest = load_checkpoint(folder)
            size = sum(w.numel() for w in weights.values()) / 1e6
            print(f"checkpoint {name} {digest[:12]}, {size:.1f} M parameters")
            print(f"    {', '.join(config['data']['categories'])}")
