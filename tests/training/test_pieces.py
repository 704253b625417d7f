"""Weights in pieces: all of them, rounded where they are many, or refused."""

from pathlib import Path

import pytest
import torch

from wam.contracts import InputError
from wam.training.pieces import ROUNDED_FROM, read_pieces, rounded, widened, write_pieces

WEIGHTS = {
    "large": torch.randn(129, 128, generator=torch.Generator().manual_seed(1)),
    "small": torch.tensor([1 / 3, 2 / 3]),
    "exact": torch.tensor([1 / 3], dtype=torch.float64),
    "count": torch.arange(ROUNDED_FROM),
    "turned": torch.randn(128, 130, generator=torch.Generator().manual_seed(2)).T,
}


def test_only_large_matrices_are_rounded_and_by_no_more_than_bfloat16() -> None:
    back = widened(rounded(WEIGHTS))
    for name, value in WEIGHTS.items():
        assert back[name].dtype == value.dtype
        if name in ("large", "turned"):
            assert not torch.equal(back[name], value)
            torch.testing.assert_close(back[name], value, rtol=2**-8, atol=0)
        else:
            assert torch.equal(back[name], value), name


@pytest.mark.parametrize("most", [1000, 50_000, 10**9])
def test_pieces_put_together_are_the_weights(tmp_path: Path, most: int) -> None:
    want = rounded(WEIGHTS)
    note = write_pieces(tmp_path, "wam", want, most)
    assert sorted(note["pieces"]) == sorted(path.name for path in tmp_path.iterdir())
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= most
    got = read_pieces(tmp_path, **note)
    assert got.keys() == want.keys()
    assert all(torch.equal(got[name], want[name]) and got[name].dtype == want[name].dtype for name in want)


def test_a_piece_that_is_lost_or_changed_is_noticed(tmp_path: Path) -> None:
    note = write_pieces(tmp_path, "wam", rounded(WEIGHTS), 50_000)
    second = tmp_path / note["pieces"][1]
    data = second.read_bytes()
    second.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InputError, match="not what was written"):
        read_pieces(tmp_path, **note)
    second.unlink()
    with pytest.raises(InputError, match=f"lacks {second.name}; bring all"):
        read_pieces(tmp_path, **note)
    with pytest.raises(InputError, match="lacks pieces"):
        read_pieces(tmp_path, [], note["sha256"])
    with pytest.raises(ValueError, match="at least a byte"):
        write_pieces(tmp_path, "wam", {}, 0)
