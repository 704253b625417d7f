import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from wam.episodes.calvin_format import CalvinFormatError, CalvinSplit
from wam.episodes.pickled import load_pickled


class Harm:
    """What a hostile file holds: unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(
    "value",
    [
        {"language": {"ann": ["a"], "task": ["b"]}, "info": {"indx": [(1, 2)]}},
        {
            "emb": np.arange(6.0).reshape(1, 2, 3),
            "one": np.float32(2.5),
            "bytes": b"\xff",
            "who": np.str_("x"),
        },
        {"frames": [np.arange(3), np.zeros((0, 2))]},
    ],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_dicts_of_numbers_text_and_arrays_are_read(value: object, protocol: int, tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    with file.open("wb") as stream:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(stream, header)
        pickle.dump(np.asarray(value, dtype=object), stream, protocol=protocol)
    want = np.load(file, allow_pickle=True).item()
    assert repr(load_pickled(file)) == repr(want) == repr(value)


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
