import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from wam.episodes.calvin_format import CalvinFormatError, CalvinSplit
from wam.episodes.pickled import PICKLE_ERRORS, load_pickled


class Harm:
    """What a hostile file holds: unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def write(file: Path, content: bytes) -> Path:
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
        stream.write(content)
    return file


@pytest.mark.parametrize(
    "value",
    [
        {"language": {"ann": ["a"], "task": ["b"]}, "info": {"indx": [(1, 2)]}},
        {"emb": np.arange(6.0).reshape(1, 2, 3), "turned": np.asfortranarray(np.arange(6).reshape(2, 3))},
        {"one": np.float32(2.5), "bytes": b"\xff", "who": np.str_("x"), "big": np.array([1, 2], ">i4")},
        {"frames": [np.arange(3), np.zeros((0, 2))], "texts": np.array(["ab", "c"]), "yes": np.True_},
    ],
)
@pytest.mark.parametrize("package", [b"numpy._core", b"numpy.core"])
@pytest.mark.parametrize("protocol", [2, 3])
def test_dicts_of_numbers_text_and_arrays_are_read(
    value: dict[str, object], package: bytes, protocol: int, tmp_path: Path
) -> None:
    content = pickle.dumps(np.asarray(value, dtype=object), protocol=protocol)
    file = write(tmp_path / "a.npy", content.replace(b"numpy._core", package))  # as before NumPy 2
    got = load_pickled(file)
    assert list(got) == list(value)
    for name, want in value.items():
        np.testing.assert_equal(got[name], want)
        if isinstance(want, np.ndarray | np.generic):
            assert got[name].dtype == want.dtype.newbyteorder("=")


REFERENCES = b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8I00\nI01\ntR(I3\nX\x01\x00\x00\x00|NNNI-1\nI-1\nI63\ntb"
OBJECTS_SAID_TO_BE_NUMBERS = (
    b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8I00\nI01\ntR(I3\nX\x01\x00\x00\x00|NNNI-1\nI-1\nI0\ntb"
)
"""A pickled type of references that says it holds none: NumPy then takes bytes for pointers."""


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy._core.multiarray\nscalar\n(" + OBJECTS_SAID_TO_BE_NUMBERS + b"C\x08AAAAAAAAtR.",
        b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR(I1\n(I1\nt"
        + OBJECTS_SAID_TO_BE_NUMBERS
        + b"I00\nC\x08AAAAAAAAtb.",
        b"cnumpy._core.numeric\n_frombuffer\n(C\x08AAAAAAAA"
        + OBJECTS_SAID_TO_BE_NUMBERS
        + b"(I1\ntC\x01CtR.",
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00V8I00\nI01\ntR.",
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00i4tR(I3\nX\x01\x00\x00\x00|N(X\x01\x00\x00\x00atNI4\nI1\nI0\ntb.",
    ],
)
def test_bytes_are_not_taken_for_pointers(content: bytes, tmp_path: Path) -> None:
    with pytest.raises((pickle.UnpicklingError, ValueError, TypeError)):
        load_pickled(write(tmp_path / "a.npy", content))


@pytest.mark.parametrize("content", [b"\x95" + b"\xff" * 8, b"\x8e" + b"\xff" * 8, b"\x96" + b"\xff" * 8])
def test_sizes_beyond_any_memory_are_among_the_errors_of_a_damaged_file(
    content: bytes, tmp_path: Path
) -> None:
    with pytest.raises(PICKLE_ERRORS):
        load_pickled(write(tmp_path / "a.npy", b"\x80\x05" + content + b"."))


def test_a_part_of_a_number_beyond_the_file_is_refused_before_the_table_is_made(tmp_path: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match="numbers one part 4294967295"):
        load_pickled(write(tmp_path / "a.npy", b"\x80\x02Nr\xff\xff\xff\xff."))


@pytest.mark.parametrize("shape", [b"(I500\nt", b"(I500000000000\nt", b"(I-1\nt", b"(Nt"])
def test_arrays_longer_than_their_list_are_refused(shape: bytes, tmp_path: Path) -> None:
    """NumPy's own reading ends the process."""
    array = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"
    with pytest.raises(pickle.UnpicklingError, match="it has an array of shape"):
        load_pickled(write(tmp_path / "a.npy", array + b"(I1\n" + shape + REFERENCES + b"I00\n(ltb."))


def test_arrays_that_were_read_can_be_pickled_on(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asarray({"emb": np.arange(6.0).reshape(2, 3)}, dtype=object))
    copy = pickle.loads(pickle.dumps(load_pickled(tmp_path / "a.npy")))  # noqa: S301
    assert type(copy["emb"]) is np.ndarray
    np.testing.assert_equal(copy["emb"], np.arange(6.0).reshape(2, 3))


def test_plain_arrays_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    assert load_pickled(tmp_path / "a.npy").tolist() == [0, 1, 2, 3, 4]


def test_nothing_is_called_by_a_hostile_file(tmp_path: Path) -> None:
    harmed = tmp_path / "harmed"
    np.save(tmp_path / "a.npy", np.asarray({"language": Harm(harmed)}, dtype=object))
    with pytest.raises(pickle.UnpicklingError, match=r"posix\.mkdir"):
        load_pickled(tmp_path / "a.npy")
    assert not harmed.exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)  # what it would have done
    assert harmed.exists()


def test_hostile_annotations_are_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "training"
    (folder / "lang_annotations").mkdir(parents=True)
    np.save(folder / "ep_start_end_ids.npy", np.asarray([[0, 9]]))
    hostile = np.asarray({"language": Harm(tmp_path / "harmed")}, dtype=object)
    np.save(folder / "lang_annotations" / "auto_lang_ann.npy", hostile)
    with pytest.raises(CalvinFormatError, match=r"auto_lang_ann\.npy .*wants to call posix\.mkdir"):
        _ = CalvinSplit(folder).annotations
    assert not (tmp_path / "harmed").exists()
