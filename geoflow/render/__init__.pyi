from .camera import camera_axes as camera_axes
from .quick import draw_clouds as draw_clouds
from .quick import draw_grids as draw_grids
from .quick import trace_grid as trace_grid
from .sheet import render_sheet as render_sheet
from .studio import CLAY as CLAY
from .studio import Studio as Studio
from .tiles import join_tiles as join_tiles
