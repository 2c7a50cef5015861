"""Recipes of joints. Each docstring gives the command, the cost and the score."""

from __future__ import annotations

from dataclasses import replace

from geoflow.flow.objective import Loss, TimeSampling
from geoflow.flow.targets import Semigroup
from geoflow.joints.data import CharacterSource
from geoflow.training.recipe import Recipe, Stage


def characters_joints() -> Recipe:
    """Joints of characters: 1,024 surface points travel to the joints that they belong to.

    Command: geoflow train characters-joints --data DATA --out RUN

    DATA holds npz files of rigged characters. Noise much wider than the joints' distances would
    leave nothing to decide until late on the clock, so it is weak, and late times are drawn more
    often.
    """
    return Recipe(
        name="characters-joints",
        summary="joints of a character from 1,024 surface points; DDIM form",
        network="JointTransformer",
        network_arguments={},
        transport="DDIM",
        transport_arguments={"noise_std": 0.35, "data_std": 0.4},
        source=CharacterSource,
        stages=(Stage(9_300, instant=0.6, learning_rate=7e-4, warmup=500),),
        batch=256,
        label_drop=0.5,
        times=TimeSampling(mean=0.4, std=1.3, to_data=0.8, from_noise=0.7, uniform=0.2),
        loss=Loss(adaptive=0.01),
        targets=Semigroup(leaps=0.75, share=0.06),
        lead=0.6,
        mean_last=True,
        device_draws=True,
        cost="6 minutes on one H100",
        score="made in parts, see the model card of characters",
    )


def characters_joints_fm() -> Recipe:
    """The same on straight paths (x1-FM).

    Command: geoflow train characters-joints-fm --data DATA --out RUN
    """
    ddim = characters_joints()
    return replace(
        ddim,
        name="characters-joints-fm",
        summary="the same in x1-FM form",
        stages=(replace(ddim.stages[0], steps=11_900),),
        cost="8.7 minutes on one H200",
        score="CD-J2J 0.7 %, IoU 98 % on unseen bodies at 2 calls; 3.2 %, 78 % on toys",
        transport="x1-FM",
    )


def characters_joints_edm() -> Recipe:
    """The same with EDM's noise levels, 0.0001 to 4 here.

    Command: geoflow train characters-joints-edm --data DATA --out RUN
    """
    ddim = characters_joints()
    return replace(
        ddim,
        name="characters-joints-edm",
        summary="the same in EDM form",
        stages=(replace(ddim.stages[0], steps=12_800),),
        cost="8.7 minutes on one H200",
        score="CD-J2J 1.2 %, IoU 95 % on unseen bodies at 2 calls; 2.8 %, 70 % on toys",
        transport="EDM",
        transport_arguments={"noise_std": 0.05, "data_std": 0.4},
    )
