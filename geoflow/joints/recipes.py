"""Recipes of joints. Each docstring gives the command, the cost and the score."""

from __future__ import annotations

from geoflow.checks import one_of
from geoflow.flow.objective import Loss, TimeSampling
from geoflow.flow.targets import Semigroup
from geoflow.joints.data import CharacterSource
from geoflow.training.recipe import Recipe, Stage


def characters_joints(form: str = "DDIM") -> Recipe:
    """Joints of characters: 1,024 surface points travel to the joints that they belong to.

    Command: geoflow train characters-joints --data DATA --out RUN

    The same in three forms: characters-joints is DDIM, characters-joints-fm is x1-FM, on straight
    paths, characters-joints-edm is EDM, with noise levels of 0.0001 to 4 here. DATA holds npz files
    of rigged characters. Noise much wider than the joints' distances would leave nothing to decide
    until late on the clock, so it is weak, and late times are drawn more often.

    Raises:
        ValueError: another form.
    """
    one_of("form", form, JOINT_FORMS)
    name, summary, noise_std, steps, cost, score = JOINT_FORMS[form]
    return Recipe(
        name=name,
        summary=f"{summary} {form} form",
        network="JointTransformer",
        network_arguments={},
        transport=form,
        transport_arguments={"noise_std": noise_std, "data_std": 0.4},
        source=CharacterSource,
        stages=(Stage(steps, instant=0.6, learning_rate=7e-4, warmup=500),),
        batch=256,
        label_drop=0.5,
        times=TimeSampling(mean=0.4, std=1.3, to_data=0.8, from_noise=0.7, uniform=0.2),
        loss=Loss(adaptive=0.01),
        targets=Semigroup(leaps=0.75, share=0.06),
        lead=0.6,
        mean_last=True,
        device_draws=True,
        cost=cost,
        score=score,
    )


JOINT_FORMS: dict[str, tuple[str, str, float, int, str, str]] = {
    "DDIM": (
        "characters-joints",
        "joints of a character from 1,024 surface points;",
        0.35,
        9_300,
        "38 minutes on one GPU, in parts",
        "made in parts, see the model card of characters",
    ),
    "x1-FM": (
        "characters-joints-fm",
        "the same in",
        0.35,
        11_900,
        "8.7 minutes on one H200",
        "CD-J2J 0.7 %, IoU 98 % on unseen bodies at 2 calls; 3.2 %, 78 % on toys",
    ),
    "EDM": (
        "characters-joints-edm",
        "the same in",
        0.05,
        12_800,
        "8.7 minutes on one H200",
        "CD-J2J 1.2 %, IoU 95 % on unseen bodies at 2 calls; 2.8 %, 70 % on toys",
    ),
}
"""Name, summary, standard deviation of the noise, steps, cost and score by form."""
