"""Labelled frames made by hand."""

import numpy as np

from wam.demonstrations.reward_sets import RewardSet


def make_set(labels, *, kind="real", episode=None, tcp=None):
    """Frames of one kind; all at one place unless their TCP x is given."""
    labels = np.array(labels, bool)
    proprio = np.zeros((len(labels), 18), np.float32)
    if tcp is not None:
        proprio[:, 0] = tcp
    feat = np.arange(len(labels), dtype=np.float32)[:, None]
    return RewardSet(
        with_start=np.concatenate((feat, np.zeros_like(feat)), axis=1),
        proprio=proprio,
        label=labels,
        episode=np.zeros(len(labels), np.int64) if episode is None else np.array(episode),
        kind=np.full(len(labels), kind),
    )
