"""A VTK window off screen, and whether this machine can open one.

Where VTK (pyvista) finds no OpenGL it ends the whole process with a segmentation fault. So the
first call tries a small picture in another process.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.render.camera import VIEW_ANGLE, camera_axes, fit_view

Part = tuple[Any, dict[str, Any]]  # a pyvista.PolyData, and how it looks: options of add_mesh

BACKGROUND = (0.925, 0.925, 0.92)
CLAY = (0.86, 0.83, 0.79)
AZIMUTH, ELEVATION = 32.0, 22.0  # degrees
SUPERSAMPLING = 2
# Direction towards the light in the camera's frame (right, up, back), and its strength.
LIGHTS = (((-0.6, 0.65, 0.9), 0.86), ((0.9, 0.2, 0.6), 0.24), ((0.0, 1.0, -0.4), 0.2))


@functools.cache
def _rendering_error() -> str | None:
    """None if a small picture can be drawn in another process, else the reason. Tried once."""
    script = (
        "import pyvista as p; q = p.Plotter(off_screen=True, window_size=(32, 32)); "
        "q.add_mesh(p.Sphere(), color='red'); "
        "raise SystemExit(0 if q.screenshot(return_img=True).std() > 1 else 'the picture is blank')"
    )
    command = [sys.executable, "-c", script]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "a test picture took more than 120 s"
    if result.returncode == 0:
        return None
    if result.returncode < 0:
        return f"a test picture ended with signal {-result.returncode}"
    return (result.stderr.strip().splitlines() or ["no message"])[-1][:160]


def require_rendering() -> None:
    """Raises RuntimeError where off-screen rendering fails; one line says what to install."""
    if reason := _rendering_error():
        raise RuntimeError(
            f"rendering needs pyvista and EGL or OSMesa; {reason}; "
            "pip install pyvista, and apt install libegl1 libgl1-mesa-dri (or libosmesa6)"
        )


class Studio:
    """One window in which picture after picture is drawn; opening one takes longer than drawing.

    Args:
        size: Side of a picture, pixels.
        soft: Three lights from above, and shade where surfaces are near each other. Otherwise
            pyvista's own lights, which also suit what is seen through a translucent surface.

    Raises:
        RuntimeError: As `require_rendering`.
    """

    def __init__(self, size: int, *, soft: bool = True) -> None:
        require_rendering()
        import pyvista
        from vtkmodules.vtkCommonCore import vtkLogger

        # Without a display VTK warns on stderr before it takes EGL, which then works.
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
        self.size = size
        side, lights = (size * SUPERSAMPLING, "none") if soft else (size, "light kit")
        how = {"off_screen": True, "window_size": [side, side], "lighting": lights}
        self.plotter: Any = pyvista.Plotter(**how)  # its decorated methods confuse type checkers
        self.plotter.set_background(BACKGROUND)
        if not soft:
            return
        self.plotter.disable_anti_aliasing()  # SUPERSAMPLING does it; both cost a fifth more
        for direction, strength in LIGHTS:
            light = pyvista.Light(position=direction, intensity=strength, light_type="camera light")
            light.positional = False
            self.plotter.add_light(light)
        self.plotter.enable_ssao(radius=0.12, bias=0.005, kernel_size=16, blur=True)

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self.plotter.close()

    def draw(
        self,
        parts: Sequence[Part],
        *,
        azimuth: float = AZIMUTH,
        elevation: float = ELEVATION,
        half_height: float | None = None,
    ) -> NDArray[np.uint8]:
        """Draws all parts in one picture.

        Args:
            parts: Surfaces, y up, and how each looks.
            azimuth, elevation: As `camera_axes`.
            half_height: A parallel projection around the origin, so high above it, in the parts'
                unit; None: in perspective, such that the parts fill the view.

        Returns:
            (size, size, 3) RGB.
        """
        from PIL import Image

        still = {"reset_camera": False, "render": False}
        actors = [self.plotter.add_mesh(surface, **still, **look) for surface, look in parts]
        axes, camera = camera_axes(azimuth, elevation), self.plotter.camera
        camera.parallel_projection = half_height is not None
        position = np.array([0.0, 0.0, 4 * (half_height or 0)])
        if half_height is None:
            camera.view_angle = VIEW_ANGLE
            position = fit_view(np.concatenate([part.points for part, _ in parts]) @ axes.T)
        else:
            camera.parallel_scale = half_height
        camera.position = tuple(position @ axes)
        camera.focal_point = tuple((position - [0.0, 0.0, position[2]]) @ axes)
        camera.up = tuple(axes[1])
        self.plotter.renderer.reset_camera_clipping_range()
        self.plotter.render()  # a second screenshot alone would repeat the first picture
        picture = self.plotter.screenshot(return_img=True)[..., :3]
        for actor in actors:
            self.plotter.remove_actor(actor, render=False)
        side = (self.size, self.size)
        return np.asarray(Image.fromarray(picture).resize(side, Image.Resampling.BOX))
