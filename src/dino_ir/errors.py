"""Every error a user can cause. Catch `DinoIRError` to catch them all.

DinoIRError
├── RecipeError    a recipe, a benchmark or a part's options are wrong
├── ImageError     a file is not an image we can read, or an image has the wrong shape
├── DataError      a folder of pictures is missing, empty or does not pair up
├── WeightsError   a weight file is missing, damaged, or does not fit
└── TrainingError  a run cannot start, go on or be resumed
"""

__all__ = ["DataError", "DinoIRError", "ImageError", "RecipeError", "TrainingError", "WeightsError"]


class DinoIRError(Exception):
    """Base of all errors raised on purpose; its message is one sentence a user can act on."""


class RecipeError(DinoIRError):
    """A name or an option in a recipe or a benchmark is wrong."""


class ImageError(DinoIRError):
    """A file is not an image we can read, or an image has the wrong shape."""


class DataError(DinoIRError):
    """A folder of pictures is missing, empty or does not pair up."""


class WeightsError(DinoIRError):
    """A weight file is missing, damaged, or does not fit."""


class TrainingError(DinoIRError):
    """A training run cannot start, go on or be resumed."""
