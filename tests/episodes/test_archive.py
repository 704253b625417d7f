"""Episodes in one file: equal to the store that they came from, whole or refused."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from toy_world import toy_episodes

from wam.episodes import archive
from wam.episodes.archive import (
    EpisodeArchiveError,
    archive_digest,
    load_episodes,
    read_archive,
    write_archive,
)
from wam.episodes.loaded import Episodes


def assert_same(one: Episodes, other: Episodes) -> None:
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape), field.name
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            assert a == b, field.name


@pytest.mark.parametrize("layout", [True, False])
def test_what_is_read_is_what_was_written(
    tmp_path: Path, layout: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_PIECE", 1000)  # no array is a whole number of pieces
    episodes = toy_episodes()
    own = np.arange(2.0 * episodes.num_episodes).reshape(-1, 2)
    episodes = replace(episodes, layout=own, layout_names=("x", "y")) if layout else episodes
    write_archive(tmp_path / "some.npz", episodes, "d1")
    assert_same(read_archive(tmp_path / "some.npz"), episodes)
    assert archive_digest(tmp_path / "some.npz") == "d1"


def test_an_archive_of_a_store_loads_as_the_store_does(make_store, tmp_path: Path) -> None:
    store = make_store()
    write_archive(tmp_path / "it.npz", store.load(), store.digest)
    assert_same(load_episodes(tmp_path / "it.npz"), load_episodes(store.path))


def test_readers_share_one_copy_and_see_a_new_file(tmp_path: Path) -> None:
    path, episodes = tmp_path / "some.npz", toy_episodes()
    write_archive(path, episodes, "d1")
    held = read_archive(path)
    assert read_archive(path) is held
    write_archive(path, replace(episodes, action=episodes.action / 2), "d2")
    np.testing.assert_array_equal(read_archive(path).action, episodes.action / 2)


def test_what_is_no_whole_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    write_archive(path, toy_episodes(), "d1")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EpisodeArchiveError, match="no whole archive"):
        read_archive(path)
    middle = len(whole) // 3
    path.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    with pytest.raises(EpisodeArchiveError, match="no whole archive"):
        read_archive(path)
    np.savez(path, action=np.zeros(3))
    with pytest.raises(EpisodeArchiveError, match="it lacks episode_length"):
        read_archive(path)
    with pytest.raises(EpisodeArchiveError, match="no whole archive"):
        read_archive(tmp_path / "none.npz")


def test_no_file_runs_code(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", action=np.array([print], dtype=object))
    with pytest.raises(EpisodeArchiveError, match="no whole archive"):
        read_archive(tmp_path / "some.npz")


def test_a_killed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.npz"
    write_archive(path, toy_episodes(), "d1")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        write_archive(path, toy_episodes(), "d2")
    assert [file.name for file in tmp_path.iterdir()] == ["some.npz"]
    assert archive_digest(path) == "d1"
    with pytest.raises(ValueError, match=r"ends in \.npz"):
        write_archive(tmp_path / "some.zip", toy_episodes(), "d1")
