"""Which of Infinigen's factories makes which class of object, and how often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROTATION_STEP = 0.6180339887498949  # golden ratio: every prefix is balanced


@dataclass(frozen=True)
class SubClass:
    """One asset factory: its share of its class, where it is, the largest size kept (metres)."""

    class_name: str
    name: str
    share: int
    module: str
    factory: str
    max_size: float = 10.0


SUB_CLASSES = (  # the shares are those of shared/data/objects.zip
    SubClass("bed", "bed", 1, "seating.bed", "BedFactory", 2.6),
    SubClass("bottle", "bottle", 1, "tableware.bottle", "BottleFactory"),
    SubClass("bowl", "bowl", 1, "tableware.bowl", "BowlFactory"),
    SubClass("cabinet", "single", 107, "shelves.single_cabinet", "SingleCabinetFactory"),
    SubClass("cabinet", "kitchen", 68, "shelves.kitchen_cabinet", "KitchenCabinetFactory"),
    SubClass("chair", "chair", 93, "seating.chairs.chair", "ChairFactory"),
    SubClass("chair", "bar", 41, "seating.chairs.bar_chair", "BarChairFactory"),
    SubClass("chair", "office", 41, "seating.chairs.office_chair", "OfficeChairFactory"),
    SubClass("cup", "cup", 1, "tableware.cup", "CupFactory"),
    SubClass("lamp", "desk", 63, "lamp.lamp", "DeskLampFactory"),
    SubClass("lamp", "floor", 63, "lamp.lamp", "FloorLampFactory"),
    SubClass("lamp", "ceiling", 49, "lamp.ceiling_classic_lamp", "CeilingClassicLampFactory"),
    SubClass("monitor", "monitor", 88, "appliances.tv", "MonitorFactory"),
    SubClass("monitor", "tv", 87, "appliances.tv", "TVFactory"),
    SubClass("pot", "pan", 94, "tableware.pan", "PanFactory"),
    SubClass("pot", "pot", 81, "tableware.pot", "PotFactory"),
    SubClass("shelf", "large", 61, "shelves.large_shelf", "LargeShelfFactory"),
    SubClass("shelf", "cell", 49, "shelves.cell_shelf", "CellShelfFactory"),
    SubClass("shelf", "bookcase", 25, "shelves.simple_bookcase", "SimpleBookcaseFactory"),
    SubClass("shelf", "triangle", 25, "shelves.triangle_shelf", "TriangleShelfFactory"),
    SubClass("shelf", "tvstand", 15, "shelves.cell_shelf", "TVStandFactory"),
    SubClass("sofa", "sofa", 113, "seating.sofa", "SofaFactory"),
    SubClass("sofa", "armchair", 62, "seating.sofa", "ArmChairFactory"),
    SubClass("table", "dining", 63, "tables.dining_table", "TableDiningFactory"),
    SubClass("table", "cocktail", 53, "tables.cocktail_table", "TableCocktailFactory"),
    SubClass("table", "coffee", 30, "tables.dining_table", "CoffeeTableFactory"),
    SubClass("table", "side", 29, "tables.dining_table", "SideTableFactory"),
    SubClass("toilet", "toilet", 1, "bathroom.toilet", "ToiletFactory"),
    SubClass("vase", "vase", 1, "table_decorations.vase", "VaseFactory"),
    SubClass("wineglass", "wineglass", 1, "tableware.wineglass", "WineglassFactory"),
)
CLASS_NAMES = list(dict.fromkeys(sub.class_name for sub in SUB_CLASSES))


def choose_sub(class_name: str, seed: int) -> SubClass:
    """The sub-class that a seed makes: a fixed rotation weighted by the shares."""
    subs = [s for s in SUB_CLASSES if s.class_name == class_name]
    ends = np.cumsum([s.share for s in subs])
    return subs[np.searchsorted(ends, seed * ROTATION_STEP % 1.0 * ends[-1], side="right")]
