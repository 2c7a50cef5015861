"""How well a shape autoencoder rebuilds shapes that it has not seen.

    python benchmarks/autoencoder.py RUN DATA [--noise 0 0.3] [--keep FOLDER]

RUN is a run of shape-autoencoder, DATA what data_prep/objects.py wrote. Prints, for each standard
deviation of noise on the latents, the intersection over union of the insides and the mean error in
the band (distances below 0.9 of the truncation) in voxels: means over the shapes of a category,
then over categories. --keep stores the grids of the first shape of each, and what became of them.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from script import add_device, argument_parser, run_script, say

from geoflow.data import ShapeDataset, encode_sdf
from geoflow.model import pick_device
from geoflow.shapes import load_autoencoder


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--split", default="validation")
    parser.add_argument("--keep", type=Path)
    add_device(parser)
    o = parser.parse_args()
    device = pick_device(o.device)
    net = load_autoencoder(o.run, device)
    data = ShapeDataset.open(o.data)
    grids, labels, names = data.load_sdf(net.sizes.resolution, o.split)
    voxels = data.truncation * net.sizes.resolution / 2
    generator = torch.Generator().manual_seed(0)
    for level in o.noise:
        rows = defaultdict(list)
        for i, name in enumerate(names):
            category = data.categories[labels[i]]
            real = torch.from_numpy(grids[i]).to(device).float()[None] / 127
            latents = net.encoder(real)
            noise = torch.randn(latents.shape, generator=generator).to(device)
            made = net.decoder.fine(torch.nn.functional.rms_norm(latents + level * noise, (32,)))
            if o.keep and not rows[category]:
                o.keep.mkdir(parents=True, exist_ok=True)
                for word, grid in (("real", real), (f"noise{level:g}", made)):
                    blob = encode_sdf(grid[0].cpu().numpy(), 1.0)
                    (o.keep / f"{category}_{word}.sdf").write_bytes(blob)
            inside, rebuilt = real < 0, made < 0
            iou = (inside & rebuilt).sum() / (inside | rebuilt).sum()
            error = voxels * (made - real)[real.abs() < 0.9].abs().mean()
            rows[category].append((iou.item(), error.item()))
            if i % 50 == 0:
                say(f"noise {level:g}: {i} of {len(names)}, {name}")
        means = {category: np.mean(row, 0) for category, row in sorted(rows.items())}
        iou, error = np.mean([*means.values()], 0)
        print(f"noise {level:g}: IoU {iou:.4f}, error {error:.4f} voxels, {len(names)} shapes")
        print("   " + ", ".join(f"{c} {m[0]:.3f} {m[1]:.3f}" for c, m in means.items()))


if __name__ == "__main__":
    run_script(main)
