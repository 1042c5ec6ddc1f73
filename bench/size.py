"""What size costs: speed and memory from 1 to 100 megapixels, and what tiles change.

    python bench/size.py sizes [--photo FILE]    megapixels a second and peak resident memory, file to file
    python bench/size.py seams FILE ...          tiles beside the whole, by side, overlap and what they share;
                                                 with --beside, tiles beside tiles, of the same pools

Each size runs in a process of its own, whose peak the system tells (VmHWM). Photos are made by enlarging
`--photo`, or a drawn one, and adding noise; the tables are Markdown.
"""

import argparse
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyvips
import torch
import torch.nn.functional as F
from torch import Tensor

from dino_ir import tiling
from dino_ir.contracts import Restorer, View
from dino_ir.files.images import read_rgb
from dino_ir.inference import load, restore
from dino_ir.ops.allocator import keep_freed_memory
from dino_ir.ops.peak import peak_memory
from dino_ir.ops.tile import cut_tiles
from dino_ir.photos import Options, restore_large

KINDS = (".jpg", ".tif")
RUN = 128  # pixels along a line over which a step is averaged: what an eye takes for a seam
SIGMA = 15 / 255  # of the noise that is added to what is cut


class OwnPools(Restorer):
    """Lets each tile pool over itself."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.hidden = (restorer,)  # not a part of it, whose layers could be told what to pool
        self.multiple_of = restorer.multiple_of

    def look(self, photo: Tensor) -> Tensor | None:
        return self.hidden[0].look(photo)

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        return self.hidden[0](degraded, view)


class OwnLook(OwnPools):
    """Lets each tile also be described on its own, as a photo of its own."""

    def look(self, photo: Tensor) -> Tensor | None:
        return None

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        return self.hidden[0](degraded)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    sizes = verbs.add_parser("sizes")
    sizes.add_argument("--photo", type=Path)
    sizes.add_argument("--megapixels", type=float, nargs="+", default=[1, 4, 16, 64, 100])
    sizes.add_argument("--folder", type=Path, help="where photos and results lie meanwhile")
    seams = verbs.add_parser("seams")
    seams.add_argument("photos", type=Path, nargs="+")
    seams.add_argument("--damaged", action="store_true", help="they are already: add no noise, score nothing")
    seams.add_argument("--sides", type=int, nargs="+", default=[256, 512])
    seams.add_argument("--overlaps", type=int, nargs="+", default=[32, 64, 128])
    seams.add_argument(
        "--beside", type=int, metavar="OVERLAP", help="compare with tiles of 512 of this overlap"
    )
    one = verbs.add_parser("one", help="one photo, in this process")
    one.add_argument("photo", type=Path)
    for parser_of_verb in (sizes, one):
        parser_of_verb.add_argument("--weights", default="default")
        parser_of_verb.add_argument("--memory", type=float)
    seams.add_argument("--weights", default="default")
    given = parser.parse_args()
    keep_freed_memory()
    if given.verb == "sizes":
        print_sizes(given.megapixels, given.photo, given.folder, given.weights, given.memory)
    elif given.verb == "seams":
        print_seams(given)
    else:
        print(json.dumps(measure(given.photo, given.weights, given.memory)))


def print_sizes(
    megapixels: Sequence[float], photo: Path | None, folder: Path | None, weights: str, memory: float | None
) -> None:
    """Make, restore and measure a photo of each size and kind."""
    print("| megapixels | kind | MP/s | minutes | peak memory, MB | of it before the photo, MB |")
    print("|---:|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for kind in KINDS:
            for size in megapixels:
                path = Path(place) / f"photo{kind}"
                make(path, size * 1e6, photo)
                limit = [] if memory is None else ["--memory", str(memory)]
                command = [sys.executable, __file__, "one", str(path), "--weights", weights, *limit]
                told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                pace = size / told["seconds"]
                peaks = f"{told['peak'] / 1e6:.0f} | {told['before'] / 1e6:.0f}"
                print(
                    f"| {size:g} | {kind[1:]} | {pace:.3f} | {told['seconds'] / 60:.1f} | {peaks} |",
                    flush=True,
                )


def make(path: Path, pixels: float, photo: Path | None) -> None:
    """Write a photo of the shape 3 : 2."""
    height = round((pixels / 1.5) ** 0.5)
    width = round(pixels / height)
    source = pyvips.Image.new_from_file(str(photo)) if photo else drawn()
    large = source.resize(width / source.width, vscale=height / source.height, kernel="cubic")
    large = large.crop(0, 0, min(width, large.width), min(height, large.height))
    noise = pyvips.Image.gaussnoise(large.width, large.height, mean=0, sigma=10, seed=1)
    noisy = (large + noise).cast("uchar").copy(interpretation="srgb")
    noisy.write_to_file(str(path), **({"Q": 92} if path.suffix == ".jpg" else {}))


def drawn() -> pyvips.Image:
    """Waves, edges and flat parts in three colours."""
    places = pyvips.Image.xyz(1500, 1000)
    waves = (places[0] * places[1] / 2000).sin() * 60 + (places[1] / 7).sin() * 30 + 128
    edges = ((places[0] / 90).floor() + (places[1] / 70).floor()) % 2 * 50
    return (waves + edges).bandjoin([255 - waves, waves / 2 + edges])


def measure(path: Path, weights: str, memory: float | None) -> dict[str, float]:
    """Seconds and peak of bytes to restore a photo file."""
    restorer = load(weights, "cpu")
    before = peak_memory(torch.device("cpu")) or 0
    options = Options(memory=None if memory is None else int(memory))
    started = time.perf_counter()
    restore_large(restorer, path, path.with_name(f"restored{path.suffix}"), options)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak": peak_memory(torch.device("cpu")) or 0, "before": before}


def print_seams(given: argparse.Namespace) -> None:
    """Compare tiles with the whole."""
    restorer = load(given.weights, "cpu")
    kinds = {"look and pools": restorer}
    if not given.beside:  # tiles that pool over themselves differ from any others by far more than seams
        kinds |= {"look": OwnPools(restorer).eval(), "nothing": OwnLook(restorer).eval()}
    print(
        "| photo | shared | side | overlap | step where tiles meet | elsewhere "
        "| largest change | root mean square | PSNR off by, dB |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for path in given.photos:
        clean = read_rgb(path)[None].float() / 255
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * SIGMA
        degraded = clean if given.damaged else (clean + noise).clamp(0, 1)
        tiling.OVERLAP = given.beside or tiling.OVERLAP
        whole: Tensor = restore(restorer, degraded, tile=512 if given.beside else "off")
        tilings: list[tuple[int, int]] = list(itertools.product(given.sides, given.overlaps))
        for name, (side, overlap) in itertools.product(kinds, tilings):
            tiling.OVERLAP = overlap
            tiled: Tensor = restore(kinds[name], degraded, tile=side)
            change = 255 * (tiled - whole)
            gap = "" if given.damaged else f"{psnr(tiled, clean) - psnr(whole, clean):+.3f}"
            meeting, elsewhere = steps(change, restorer.multiple_of, side, overlap)
            most, mean = float(change.abs().max()), float(change.square().mean() ** 0.5)
            figures = f"{meeting:.2f} | {elsewhere:.2f} | {most:.1f} | {mean:.2f}"
            print(f"| {path.stem} | {name} | {side} | {overlap} | {figures} | {gap} |", flush=True)


def steps(change: Tensor, multiple: int, side: int, overlap: int) -> tuple[float, float]:
    """The largest step between neighbouring lines, over runs along them, in what tiles changed.

    Args:
        change: [1, C, H, W].
        multiple: of the network.
        side, overlap: of the tiles.

    Returns:
        Where tiles meet, and elsewhere: what is not a seam, but an edge that came out another way.
    """
    at, beside = 0.0, 0.0
    size = tuple(math.ceil(length / multiple) * multiple for length in change.shape[-2:])
    tiles = cut_tiles((size[0], size[1]), side, overlap, multiple)
    for lines, spans in (
        (change, {(tile.left, tile.right) for tile in tiles}),
        (change.mT, {(tile.top, tile.bottom) for tile in tiles}),
    ):
        step = F.avg_pool2d(lines.diff(dim=-1), (RUN, 1), stride=(RUN // 4, 1)).abs().amax(dim=(0, 1, 2))
        places = torch.arange(len(step))
        shared = torch.zeros(len(step), dtype=torch.bool)
        for start, _end in spans - {min(spans)}:
            before = max(end for first, end in spans if first < start)
            shared |= (places >= start - 1) & (places <= before)
        at, beside = max(at, float(step[shared].max())), max(beside, float(step[~shared].max()))
    return at, beside


def psnr(restored: Tensor, clean: Tensor) -> float:
    """In dB."""
    return float(-10 * (restored - clean).square().mean().log10())


if __name__ == "__main__":
    main()
