from .loop import RunOptions as RunOptions
from .loop import run_training as run_training
from .recipe import Recipe as Recipe
from .recipe import set_fields as set_fields
from .trainer import Trainer as Trainer
from .trainer import start_processes as start_processes
