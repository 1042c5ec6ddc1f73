import numpy as np
import pytest
import pyvips
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps

from dino_ir.errors import DataError, ImageError
from dino_ir.files.images import Photo, list_images, name_images, read_photo, read_rgb, write_photo

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'


def save_tiff(path, array):
    tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack")


def exif(orientation=1):
    tags = Image.Exif()
    tags[0x010F] = "A maker"
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (50, 1), (13, 7)])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("suffix", "bits"),
    [(".png", 8), (".png", 16), (".tif", 8), (".TIFF", 16), (".tiff", 32), (".webp", 8)],
)
def test_what_is_written_is_read_back_exactly(tmp_path, suffix, bits, channels, has_alpha, height, width):
    top = 2**bits - 1 if bits < 32 else 1000
    values = torch.randint(0, top + 1, (channels + has_alpha, height, width)).float() / top
    pixels, alpha = values[:channels], values[channels:] if has_alpha else None
    if alpha is not None:
        alpha[0, 0, 0] = 0  # WebP drops an alpha that is opaque everywhere

    write_photo(tmp_path / f"a{suffix}", Photo(pixels, bits, alpha))
    photo = read_photo(tmp_path / f"a{suffix}")

    assert photo.bits == bits
    expected = pixels.expand(3, -1, -1) if suffix == ".webp" else pixels  # a WebP is never grey
    assert torch.equal(photo.pixels, expected)
    assert (photo.alpha is None and alpha is None) or torch.equal(photo.alpha, alpha)


def test_a_jpeg_of_one_colour_keeps_it(tmp_path):
    pixels = torch.tensor([0.9, 0.2, 0.4])[:, None, None].expand(3, 16, 9)

    write_photo(tmp_path / "a.jpg", Photo(pixels, bits=16))
    photo = read_photo(tmp_path / "a.jpg")

    assert photo.bits == 8
    torch.testing.assert_close(photo.pixels, pixels, atol=2 / 255, rtol=0)


def test_a_jpeg_keeps_colour_at_full_resolution(tmp_path):
    write_photo(tmp_path / "a.jpg", Photo(torch.rand(3, 16, 16)))

    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA"])
def test_rgb_is_what_pillow_reads(tmp_path, mode):
    Image.fromarray(COLOURS).convert(mode).save(tmp_path / "a.png")

    image = read_rgb(tmp_path / "a.png")

    with Image.open(tmp_path / "a.png") as expected:
        assert torch.equal(image, torch.tensor(np.array(expected.convert("RGB"))).movedim(2, 0))


@pytest.mark.parametrize(
    "array", [COLOURS.astype(np.uint16) * 257, COLOURS / np.float32(255), COLOURS[..., 0] / np.float32(255)]
)
def test_rgb_of_deeper_files_has_8_bits(tmp_path, array):
    save_tiff(tmp_path / "a.tif", array)

    image = read_rgb(tmp_path / "a.tif")

    expected = COLOURS if array.ndim == 3 else COLOURS[..., :1].repeat(3, 2)
    assert torch.equal(image, torch.tensor(expected).movedim(2, 0))


@pytest.mark.parametrize("array", [COLOURS, COLOURS.astype(np.uint16) * 100, COLOURS / np.float32(255)])
def test_a_photo_is_what_tifffile_wrote(tmp_path, array):
    save_tiff(tmp_path / "a.tif", array)

    photo = read_photo(tmp_path / "a.tif")

    top = {"uint8": 255, "uint16": 65535, "float32": 1}[array.dtype.name]
    assert torch.equal(photo.pixels, torch.tensor(array.astype(np.float32) / top).movedim(2, 0))


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_becomes_rgb_without_its_profile(tmp_path, suffix):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / f"a{suffix}", icc_profile=PROFILE)

    photo = read_photo(tmp_path / f"a{suffix}")

    red, green, blue = photo.pixels.mean(dim=(1, 2))
    assert red > 0.7 > 0.4 > max(green, blue)
    assert "icc-profile-data" not in photo.metadata


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path, orientation):
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif(orientation))

    write_photo(tmp_path / "b.png", read_photo(tmp_path / "a.png"))

    with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / "b.png") as after:
        assert np.array_equal(np.array(after), np.array(ImageOps.exif_transpose(before)))
        assert after.getexif().get(0x0112, 1) == 1
    assert read_rgb(tmp_path / "a.png").shape == read_rgb(tmp_path / "b.png").shape


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_metadata_survive(tmp_path, suffix):
    given = {"exif": exif(6), "icc_profile": PROFILE, "dpi": (300, 300), "xmp": XMP}
    Image.fromarray(COLOURS).save(tmp_path / f"a{suffix}", **given)

    write_photo(tmp_path / f"b{suffix}", read_photo(tmp_path / f"a{suffix}"))

    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif()[0x010F] == "A maker"
        if suffix != ".png":  # Pillow does not write XMP into a PNG
            assert b'tiff:Orientation="1"' in image.info["xmp"]


def test_a_tiff_keeps_profile_xmp_and_resolution(tmp_path):
    image = Image.fromarray(COLOURS)
    image.save(tmp_path / "a.tif", icc_profile=PROFILE, dpi=(300, 300), tiffinfo={700: XMP})

    write_photo(tmp_path / "b.tif", read_photo(tmp_path / "a.tif"))

    with Image.open(tmp_path / "b.tif") as image:
        assert image.info["icc_profile"] == PROFILE
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert b'tiff:Orientation="1"' in image.tag_v2[700]


def test_a_file_that_changed_is_read_anew(tmp_path):
    for value in (0.0, 1.0):
        write_photo(tmp_path / "a.png", Photo(torch.full((3, 4, 4), value)))

        assert read_photo(tmp_path / "a.png").pixels.unique().item() == value


def damaged(folder, kind):
    path = folder / "photo.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not a picture")
    elif kind == "truncated":
        Image.fromarray(COLOURS).resize((64, 64)).save(path)
        path.write_bytes(path.read_bytes()[:-900])
    elif kind == "truncated jpeg":
        Image.fromarray(COLOURS).resize((64, 64)).save(path, "jpeg")
        path.write_bytes(path.read_bytes()[:-300])
    return path


@pytest.mark.parametrize("read", [read_photo, read_rgb])
@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "truncated", "truncated jpeg"])
def test_what_is_no_image_is_named(tmp_path, capfd, read, kind):
    path = damaged(tmp_path, kind)

    with pytest.raises(ImageError, match=r"photo\.png") as problem:
        read(path)

    assert "\n" not in str(problem.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("array", [COLOURS * np.float32(2), np.full((4, 4), np.nan, np.float32)])
def test_floats_that_are_no_colours_are_refused(tmp_path, array):
    save_tiff(tmp_path / "a.tif", array)

    with pytest.raises(ImageError, match=r"a\.tif has floats outside"):
        read_photo(tmp_path / "a.tif")


def test_a_type_of_number_that_cannot_be_kept_is_refused(tmp_path):
    save_tiff(tmp_path / "a.tif", COLOURS.astype(np.int32))

    with pytest.raises(ImageError, match=r"a\.tif has 3 channels of type int"):
        read_photo(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.gif"])
def test_unknown_kinds_of_file_are_not_written(tmp_path, name):
    with pytest.raises(ImageError, match=r"must end in one of: .*\.jpeg, \.jpg, \.png"):
        write_photo(tmp_path / name, Photo(torch.rand(3, 4, 4)))


def test_a_jpeg_with_alpha_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no alpha"):
        write_photo(tmp_path / "a.jpg", Photo(torch.rand(3, 4, 4), alpha=torch.rand(1, 4, 4)))


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "a.png").mkdir()

    with pytest.raises(ImageError, match=r"cannot write .*a\.png"):
        write_photo(tmp_path / "a.png", Photo(torch.rand(3, 4, 4)))

    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_missing_folder_is_named(tmp_path, capfd):
    with pytest.raises(ImageError, match="cannot write"):
        write_photo(tmp_path / "missing" / "a.png", Photo(torch.rand(3, 4, 4)))

    assert capfd.readouterr().err == ""


def test_names_with_brackets_and_spaces_work(tmp_path):
    path = tmp_path / "a photo [1].png"

    write_photo(path, Photo(torch.ones(3, 2, 2)))

    assert read_rgb(path).shape == (3, 2, 2)


def test_images_are_found_in_order_and_below(tmp_path):
    for name in ("b.PNG", "a.jpg", "note.txt", ".hidden.png", "c.tif"):
        (tmp_path / name).touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "d.webp").touch()

    found = list_images(tmp_path)

    assert [str(path.relative_to(tmp_path)) for path in found] == ["a.jpg", "b.PNG", "below/d.webp", "c.tif"]


def test_links_to_folders_are_not_followed_and_what_is_hidden_is_not_listed(tmp_path):
    folder = tmp_path / ".mine"  # that the folder itself is hidden does not matter
    for name in ("a.png", ".b.png", ".thumbs/c.png", "deep/.cache/d.png", "deep/e.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "link.png").symlink_to(folder)

    assert [path.name for path in list_images(folder)] == ["a.png", "e.png"]


def test_a_folder_that_cannot_be_read_is_listed(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", refuse)

    assert list_images(tmp_path) == [tmp_path]


def test_listing_a_missing_folder_fails(tmp_path):
    with pytest.raises(ImageError, match="is not a folder"):
        list_images(tmp_path / "missing")


def test_images_are_named_by_their_way_without_suffix(tmp_path):
    (tmp_path / "below").mkdir()
    paths = [tmp_path / name for name in ("a.v1.jpg", "b.PNG", "below/b.png")]
    for path in paths:
        path.touch()

    named = name_images(tmp_path)

    assert list(named.items()) == list(zip(["a.v1", "b", "below/b"], paths))


def test_two_images_of_one_name_are_refused(tmp_path):
    for name in ("a.png", "a.tif"):
        (tmp_path / name).touch()

    with pytest.raises(DataError, match=r"a\.png and a\.tif have one name: keep one, or rename one$"):
        name_images(tmp_path)


def test_naming_the_images_of_a_missing_folder_fails(tmp_path):
    with pytest.raises(DataError, match=r"^no folder .*missing: --data DIR or DINO_IR_DATA"):
        name_images(tmp_path / "missing")


def test_libvips_keeps_the_colours_of_a_palette(tmp_path):
    Image.fromarray(COLOURS).convert("P").save(tmp_path / "a.png")

    write_photo(tmp_path / "b.png", read_photo(tmp_path / "a.png"))

    assert "palette" not in pyvips.Image.new_from_file(str(tmp_path / "b.png")).get_fields()
    assert torch.equal(read_rgb(tmp_path / "a.png"), read_rgb(tmp_path / "b.png"))
