"""A photo as its file holds it -> the photo restored, in the numbers of its own profile."""

from pathlib import Path

from dino_ir.contracts import Restorer
from dino_ir.files.images import Photo
from dino_ir.formats.coding import kind_of
from dino_ir.inference import restore
from dino_ir.ops.color import to_linear, to_srgb
from dino_ir.ops.fill import fill
from dino_ir.ops.profiles import Profile, from_light, read_profile, to_light

__all__ = ["fit_colours", "restore_photo"]


def restore_photo(restorer: Restorer, photo: Photo, tile: int | str, strength: float) -> Photo:
    """Carry over what changed, to numbers of the photo's own profile, and to pixels that are seen.

    So a restorer that changes nothing gives the very numbers back.
    """
    if strength == 0:
        return photo
    is_seen = None if photo.alpha is None else photo.alpha > 0
    pixels = photo.pixels if is_seen is None else fill(photo.pixels, is_seen)
    profile, notes = _profile(photo)
    view = to_srgb(to_light(pixels, profile)) if profile else pixels.expand(3, -1, -1)
    shown = view.clamp(0, 1)
    change = restore(restorer, shown, tile, strength) - shown
    if profile:
        before, after = (from_light(to_linear(each), profile) for each in (view, view + change))
        change = after - before
    elif photo.is_grey:
        change = change.mean(dim=0, keepdim=True)
    restored = photo.pixels + (change if is_seen is None else change * is_seen)
    return photo._replace(pixels=restored, notes=photo.notes + notes)


def _profile(photo: Photo) -> tuple[Profile | None, tuple[str, ...]]:
    """What the photo's numbers mean, None for sRGB; and why that is not what its own profile says."""
    data = photo.metadata.get("icc-profile-data")
    if not isinstance(data, bytes):
        return None, ()
    try:
        return read_profile(data, len(photo.pixels)), ()
    except ValueError as problem:
        return None, (f"its colour profile {problem}: taken for sRGB while it was restored",)


def fit_colours(photo: Photo, result: Path) -> Photo:
    """Turn grey of a profile of its own into sRGB where the result's kind of file knows no grey."""
    profile, _notes = _profile(photo)
    if not (photo.is_grey and profile and kind_of(result.suffix) in ("AVIF", "WebP")):
        return photo
    metadata = {name: value for name, value in photo.metadata.items() if name != "icc-profile-data"}
    pixels = to_srgb(to_light(photo.pixels, profile))
    return photo._replace(pixels=pixels, metadata=metadata, notes=(*photo.notes, "its grey became sRGB"))
