import pytest
import typer

from dino_ir.arguments import read_tile


def test_a_tile_is_a_word_or_a_number_of_pixels():
    assert [read_tile(text) for text in ("auto", "off", "1", "0256")] == ["auto", "off", 1, 256]


@pytest.mark.parametrize("text", ["0", "-8", "1.5", "Auto", "", "²"])
def test_anything_else_is_refused(text):
    with pytest.raises(typer.BadParameter, match="expected auto, off or a number of pixels"):
        read_tile(text)
