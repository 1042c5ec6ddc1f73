import pytest

from dino_ir.errors import DinoIRError
from dino_ir.subject import Subject


def test_a_restorers_digest_is_of_its_table_and_of_the_files_it_names(tmp_path):
    file = tmp_path / "net.pth"
    file.write_bytes(b"1")
    subject = Subject(restorer=f'{{name="spandrel", weights="{file}"}}')
    first = subject.digest

    file.write_bytes(b"2")

    digests = {first, subject.digest, Subject(restorer="identity").digest, Subject(restorer="wiener").digest}
    assert len(digests) == 4
    assert Subject(restorer="identity").digest == Subject(restorer='{name="identity"}').digest


def test_what_has_no_weights_is_not_mirrored():
    with pytest.raises(DinoIRError, match="score wiener without them"):
        Subject(restorer="wiener", mirror=True).settled(0)
