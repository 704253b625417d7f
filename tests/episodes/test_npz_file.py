"""The short way reads what NumPy reads, and leaves to NumPy what is unusual or damaged."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from wam.episodes import npz_file
from wam.episodes.npz_file import UnusualNpzError, read_npz, write_npz

ARRAYS = {
    "image": np.arange(200 * 200 * 3, dtype=np.uint8).reshape(200, 200, 3),
    "vector": np.linspace(-1, 1, 15),
    "scalar": np.array(3.5, np.float32),
    "empty": np.zeros((0, 4), np.int64),
    "other": np.ones(3, ">i4"),
}


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_arrays_are_those_that_were_written(tmp_path: Path, write, monkeypatch) -> None:
    write(tmp_path / "a.npz", **ARRAYS)
    monkeypatch.setattr(np, "load", None)  # the short way alone
    found = read_npz(tmp_path / "a.npz", ["vector", "image", "scalar", "empty", "other"])
    assert list(found) == ["vector", "image", "scalar", "empty", "other"]
    for name, values in found.items():
        assert values.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(values, ARRAYS[name])


def test_it_does_not_depend_on_the_library_that_unpacks(tmp_path: Path, monkeypatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", **ARRAYS)
    before = read_npz(tmp_path / "a.npz", ARRAYS)
    monkeypatch.setattr(npz_file, "inflater", zlib)
    for name, values in read_npz(tmp_path / "a.npz", ARRAYS).items():
        np.testing.assert_array_equal(values, before[name])


def unusual(file: Path, kind: str) -> None:
    values = dict(ARRAYS)
    if kind == "order":
        values["image"] = np.asfortranarray(values["image"])
    np.savez_compressed(file, **values)
    if kind == "comment":
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = b"hello"
    if kind == "method":
        with zipfile.ZipFile(file) as source:
            content = {name: source.read(name) for name in source.namelist()}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
            for name, body in content.items():
                archive.writestr(name, body)


@pytest.mark.parametrize("kind", ["order", "comment", "method"])
def test_unusual_files_are_read_by_numpy(tmp_path: Path, kind: str) -> None:
    unusual(tmp_path / "a.npz", kind)
    with pytest.raises(UnusualNpzError):
        npz_file._read_usual(tmp_path / "a.npz", ["image"])
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz", ["image"])["image"], ARRAYS["image"])


def test_errors_are_numpys(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError):
        read_npz(file, ["vector"])
    np.savez_compressed(file, vector=ARRAYS["vector"], objects=np.array([{}], object))
    with pytest.raises(KeyError, match="absent"):
        read_npz(file, ["absent"])
    with pytest.raises(ValueError, match="allow_pickle"):
        read_npz(file, ["objects"])


def test_every_flipped_or_missing_byte_is_noticed_or_without_effect(tmp_path: Path) -> None:
    file, values = tmp_path / "a.npz", np.arange(40.0)
    np.savez_compressed(file, values=values)
    good = file.read_bytes()
    for place in range(0, len(good), 3):
        for bad in (good[:place] + bytes([good[place] ^ 0x11]) + good[place + 1 :], good[:place]):
            file.write_bytes(bad)
            try:
                found = npz_file._read_usual(file, ["values"])
            except UnusualNpzError:
                continue
            np.testing.assert_array_equal(found["values"], values)


def test_no_more_is_unpacked_than_announced() -> None:
    packed = zlib.compressobj(9, wbits=-15)
    body = packed.compress(bytes(10_000_000)) + packed.flush()
    assert len(npz_file._inflated(body, 1000)) == 1000


def test_what_is_written_is_read_by_numpy_zipfile_and_the_short_way(tmp_path: Path) -> None:
    arrays = ARRAYS | {"order": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "sparse": np.zeros(9000)}
    write_npz(tmp_path / "a.npz", arrays)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None
    assert (tmp_path / "a.npz").stat().st_size < sum(values.nbytes for values in arrays.values())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        assert list(data) == list(arrays)
        for name, values in arrays.items():
            assert data[name].dtype == values.dtype
            np.testing.assert_array_equal(data[name], values)
    for name, values in read_npz(tmp_path / "a.npz", arrays).items():
        np.testing.assert_array_equal(values, arrays[name])


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_npz(tmp_path / f"{name}.npz", {key: values.copy() for key, values in ARRAYS.items()})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
