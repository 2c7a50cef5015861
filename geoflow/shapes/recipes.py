"""Recipes of SDF grids. Each docstring gives the command, the cost and the score."""

from __future__ import annotations

from dataclasses import replace

from geoflow.flow.objective import GridError, Loss, TimeSampling
from geoflow.flow.targets import Semigroup
from geoflow.shapes.autoencoder import AutoencoderRecipe, Rebuild, SymmetricGrids
from geoflow.shapes.data import GridSource, ScanSource
from geoflow.shapes.latents import LatentSource
from geoflow.training.recipe import Recipe, Stage


def objects_sdf() -> Recipe:
    """Class-conditional truncated SDF grids of 15 categories of furniture and household objects.

    Command: geoflow train objects-sdf --data DATA --out RUN

    The noise is so strong because a smooth grid is redundant: at standard deviation 4 the shape was
    decided within the first tenth of the clock, and 50 equal steps missed it. The uniform share
    teaches the last hundredth of the clock, without which many small steps drift.
    """
    return Recipe(
        name="objects-sdf",
        summary="64^3 SDF grids, 15 categories, class-conditional",
        network="GridTransformer",
        network_arguments={"resolution": 64, "patch": 8, "overlap": 2, "width": 320, "depth": 10},
        transport="x1-FM",
        transport_arguments={"noise_std": 24.0},
        source=GridSource,
        stages=(Stage(24_000, instant=0.55, learning_rate=4e-4, warmup=300),),
        batch=256,
        times=TimeSampling(mean=-0.4, std=1.2, to_data=0.8, from_noise=0.7, uniform=0.2),
        loss=Loss(error_norm=GridError()),
        targets=Semigroup(leaps=0.75, share=0.06),
        cost="31 minutes on two H100, in parts",
        score="made in parts, see the model card of objects",
    )


def objects_sdf_tiny() -> Recipe:
    """A small network for the same grids, to try the pipeline on a CPU in a minute; makes blobs.

    Command: geoflow train objects-sdf-tiny --data DATA --out RUN --device cpu
    """
    large = objects_sdf()
    small = {"width": 64, "depth": 2, "hidden": 128}
    return replace(
        large,
        name="objects-sdf-tiny",
        summary="a small network for the same grids: checks the pipeline on a CPU",
        network_arguments=large.network_arguments | small,
        stages=(Stage(200, instant=0.55, warmup=20),),
        batch=8,
        cost="",
        score="",
    )


def objects_surface() -> Recipe:
    """The network of `objects-sdf` with a sparse cloud of the surface as a further condition.

    Command: geoflow train objects-surface --data DATA --init CHECKPOINT --out RUN

    CHECKPOINT is one of `objects-sdf`, or a run of this recipe: what reads the cloud starts at
    zero, so the network starts as good without clouds as it was. From `objects-sdf`, give
    --set instant=0.4 first. The rate is low and falls early, and the average is a long one: shapes
    from a category alone got worse with the values of `objects-sdf`.
    """
    plain = objects_sdf()
    return replace(
        plain,
        name="objects-surface",
        summary="64^3 SDF grids from 64 to 1,024 points, or from a category alone; bundled",
        network_arguments=plain.network_arguments | {"cloud": True, "context_every": 5},
        source=ScanSource,
        stages=(Stage(4_800, instant=0.0, learning_rate=3e-4, warmup=300, decay=0.8),),
        targets=Semigroup(leaps=0.75, share=0.06, cumulative_ema=0.998),
        needs="a checkpoint of objects-sdf or objects-surface",
        options="--init CHECKPOINT",
        cost="15 minutes on two H100 after objects-sdf, in parts",
        score="made in parts, see the model card of objects",
    )


def shape_autoencoder() -> AutoencoderRecipe:
    """128^3 distance grids as 512 latent tokens of 32 numbers, and back.

    Command: geoflow train shape-autoencoder --data DATA --out RUN

    The grids are those of data_prep/objects.py: cut off 3.2 voxels from the surface.
    """
    return AutoencoderRecipe(
        name="shape-autoencoder",
        summary="128^3 SDF grids to 512 latent tokens of 32 numbers and back",
        network="ShapeAutoencoder",
        network_arguments={},
        transport="x1-FM",
        transport_arguments={},
        source=SymmetricGrids,
        source_arguments={"resolution": 128},
        stages=(Stage(10_400, instant=1.0, learning_rate=8e-4, warmup=300, decay=0.45),),
        batch=128,
        loss=Rebuild(),
        optimizer="Muon",
        device_draws=True,
        cost="9 minutes on two H200",
        score="made in parts, see docs/results.md",
    )


def objects_latents() -> Recipe:
    """Latents of `shape-autoencoder` from a category, from 1 to 2,048 points, or from both.

    Command: geoflow train objects-latents --data DATA --out RUN

    The autoencoder is the bundled one, or that of --set autoencoder=RUN.

    The noise is less than that of `objects-sdf`: latents are hardly redundant.
    """
    return Recipe(
        name="objects-latents",
        summary="512 latent tokens of 128^3 SDF grids, from a category or from 1 to 2,048 points",
        network="LatentTransformer",
        network_arguments={"cloud": True, "context_every": 5},
        transport="x1-FM",
        transport_arguments={"noise_std": 2.0},
        source=LatentSource,
        source_arguments={"autoencoder": "autoencoder", "clouds": True},
        stages=(Stage(40_000, instant=0.6, learning_rate=8e-4, warmup=300),),
        batch=256,
        times=TimeSampling(mean=-0.4, std=1.2, to_data=0.8, from_noise=0.7, uniform=0.2),
        targets=Semigroup(leaps=0.75, share=0.06),
        optimizer="Muon",
        device_draws=True,
        cost="not run whole yet",
    )
