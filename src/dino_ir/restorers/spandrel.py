"""Networks of others, in the files their authors published, by spandrel."""

from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from dino_ir.contracts import Restorer, View
from dino_ir.errors import DinoIRError, WeightsError

__all__ = ["Spandrel"]


class Spandrel(Restorer):
    """Restore by any network that spandrel knows, such as DnCNN, SwinIR, MPRNet, NAFNet, SCUNet or FBCNN.

    The package is `pip install 'dino-ir[peers]'`; it needs torchvision. It tells the architecture by the
    file. Where spandrel_extra_arches is installed too, its architectures, whose licences forbid some uses,
    are known as well. Grey networks restore each colour alone.

    Args:
        weights: the file, .pth, .pt, .ckpt or .safetensors.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], any H and W.

    Raises:
        DinoIRError: spandrel or torchvision is missing.
        WeightsError: the file is missing, of no architecture that is known, or of one that does not restore.
    """

    multiple_of = 1  # spandrel mirrors what is too small or does not divide

    def __init__(self, weights: str) -> None:
        super().__init__()
        spandrel = _package()
        if not Path(weights).is_file():
            raise WeightsError(f"no file {weights}: give the weights of a network that spandrel knows")
        try:
            known = spandrel.ModelLoader().load_from_file(weights)
        except Exception as problem:  # each architecture fails in its own way on a file that is not its own
            raise WeightsError(f"spandrel cannot read {weights}: {' '.join(str(problem).split())}") from None
        if (
            not isinstance(known, spandrel.ImageModelDescriptor)
            or known.scale != 1
            or known.input_channels > 3
        ):
            raise WeightsError(
                f"{weights} is {known.architecture.name}, which does not restore photos at their size"
            )
        self.works_in_tiles = known.tiling == spandrel.ModelTiling.SUPPORTED
        self.network: torch.nn.Module = known.model
        self._known: Any = known

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        channels = self._known.input_channels
        images = degraded.flatten(0, 1)[:, None] if channels == 1 else degraded
        return torch.cat([self._known(image[None]) for image in images]).view_as(degraded)


def _package() -> ModuleType:
    try:
        import spandrel  # pyright: ignore[reportMissingImports]
    except (ImportError, RuntimeError) as problem:  # torchvision of another build raises the second
        raise DinoIRError(
            f"spandrel or torchvision is not installed: pip install 'dino-ir[peers]' ({problem})"
        ) from None
    with suppress(ImportError):
        import spandrel_extra_arches  # pyright: ignore[reportMissingImports]

        spandrel_extra_arches.install(ignore_duplicates=True)
    return spandrel
