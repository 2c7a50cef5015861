from .quick import draw_clouds as draw_clouds
from .quick import trace_grid as trace_grid
from .sheet import render_sheet as render_sheet
