"""Open-loop quality: how long does imagination stay true to what happened?

One real frame is filtered (or ``context_frames``), then only the recorded actions are fed to the prior, and
the decoded images are compared with the recorded ones, step by step (arXiv 2603.28955, table I).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from wam.contracts import IMAGE_GRIPPER, IMAGE_STATIC, IS_FIRST, OPEN_GRIPPER_ACTION, PREV_ACTION
from wam.episodes.sampler import gather_batch
from wam.episodes.store import Episodes
from wam.evaluation.perceptual import PerceptualConfig, PerceptualScores
from wam.evaluation.video_metrics import psnr, ssim
from wam.nn.conv import denormalise_image, normalise_image
from wam.parallel.progress import progress
from wam.seeding import numpy_generator, torch_generator
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState

BATCH = 25
"""Sequences imagined at once."""
DECODED = 2
"""Of these, decoded and compared at once: what lies between layers is many times an image's size."""
CAMERAS = (IMAGE_STATIC, IMAGE_GRIPPER)


@dataclass(frozen=True)
class OpenLoopQuality:
    """Open-loop quality of one world model.

    Attributes:
        by_step: One row per imagined step, from 1: ``step``, and for ``psnr`` (dB) and ``ssim`` the mean
            over sequences and both cameras and its spread ``_std`` over sequences, and the mean per
            camera, ``psnr_image_static`` and so on.
        summary: ``psnr_mean``, ``psnr_std``, ``ssim_mean``, ``ssim_std`` over sequences, each sequence
            averaged over steps and cameras, as the paper reports them; ``lpips_mean``, ``lpips_std`` and
            ``fvd`` where their networks were given.
        frame_id: First frame of each sequence, ``(sequences,)``.
        real: Recorded frames of the first sequences, static camera left of gripper camera,
            ``(shown, steps, 64, 128, 3)`` bytes.
        imagined: The imagined ones, same shape.
    """

    by_step: pd.DataFrame
    summary: dict[str, float]
    frame_id: NDArray[np.int64]
    real: NDArray[np.uint8]
    imagined: NDArray[np.uint8]

    def beside(self, index: int) -> NDArray[np.uint8]:
        """Video of one shown sequence, recorded above imagined, ``(steps, 128, 128, 3)``."""
        return np.concatenate([self.real[index], self.imagined[index]], axis=1)


def open_loop_quality(
    model: WorldModel,
    episodes: Episodes,
    *,
    sequences: int,
    steps: int = 50,
    seed: int,
    context_frames: int = 1,
    shown: int = 4,
    perceptual: PerceptualConfig | None = None,
) -> OpenLoopQuality:
    """Measure imagination against held-out sequences.

    Args:
        model: In evaluation mode.
        episodes: Held out, with images.
        sequences: How many, drawn at random without repetition; published 100.
        steps: Imagined steps.
        seed: Of the choice and of the sampled states.
        context_frames: Real frames that the model sees first, at least 1; published 1.
        shown: Sequences whose frames are kept for pictures; may be 0.
        perceptual: Weight files of LPIPS and FVD; what has none is left out of the summary.

    Raises:
        ValueError: If there are fewer such sequences than asked for.
    """
    rows = choose_sequences(episodes, sequences, context_frames + steps, seed)
    runner = _Runner(model, episodes, context_frames)
    networks = PerceptualScores(perceptual or PerceptualConfig(), model.device)
    scores: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    real, imagined = [], []
    with progress(len(rows), "open-loop quality", "sequence") as bar:
        for place in range(0, len(rows), BATCH):
            piece = rows[place : place + BATCH]
            predicted = runner.imagine(piece, torch_generator(seed, "open_loop", place, device=model.device))
            recorded = runner.recorded(piece)
            for key, values in _score(predicted, recorded).items():
                scores.setdefault(key, []).append(values)
            networks.add(predicted, recorded)
            kept = max(0, shown - place)
            imagined.append(_side_by_side(predicted, kept))
            real.append(_side_by_side(recorded, kept))
            bar.update(len(piece))
    by_step, summary = _summarise({key: np.concatenate(parts) for key, parts in scores.items()})
    shown_frames = (np.concatenate(frames) for frames in (real, imagined))
    return OpenLoopQuality(
        by_step, summary | networks.summary(), episodes.frame_id[rows[:, 0]], *shown_frames
    )


def choose_sequences(episodes: Episodes, count: int, length: int, seed: int) -> NDArray[np.int64]:
    """Rows ``(count, length)`` of random stretches that lie within one episode, without repetition.

    Raises:
        ValueError: If there are fewer.
    """
    starts = np.concatenate(
        [
            np.arange(start, start + max(0, size - length + 1))
            for start, size in zip(episodes.episode_start, episodes.episode_length, strict=True)
        ]
    )
    if len(starts) < count:
        raise ValueError(
            f"{count} sequences of {length} frames are asked for, the episodes hold {len(starts)}; "
            "lower sequences or steps"
        )
    chosen = numpy_generator(seed, "open_loop").choice(starts, size=count, replace=False)
    return chosen[:, None] + np.arange(length)


@dataclass(frozen=True)
class _Runner:
    """Imagines recorded sequences."""

    model: WorldModel
    episodes: Episodes
    context_frames: int

    @torch.no_grad()
    def imagine(self, rows: NDArray[np.int64], generator: torch.Generator) -> dict[str, Tensor]:
        """Images in [-1, 1], ``(n, steps, 3, 64, 64)``, per camera."""
        state = self._context_state(rows, generator)
        actions = torch.from_numpy(self.episodes.action[rows]).to(self.model.device)
        feats = []
        for t in range(self.context_frames, rows.shape[1]):
            state = self.model.imagine_step(state, actions[:, t - 1], generator)
            feats.append(state.feat)
        pieces = [self.model.decode(feat) for feat in torch.split(torch.stack(feats, dim=1), DECODED)]
        return {camera: torch.cat(images) for camera, *images in zip(CAMERAS, *pieces, strict=True)}

    def _context_state(self, rows: NDArray[np.int64], generator: torch.Generator) -> RSSMState:
        gathered = gather_batch(self.episodes, rows[:, : self.context_frames])
        gathered[PREV_ACTION][:, :1] = OPEN_GRIPPER_ACTION
        gathered[IS_FIRST][:] = np.arange(self.context_frames) == 0
        batch = {key: torch.from_numpy(x).to(self.model.device) for key, x in gathered.items()}
        state = self.model.initial_state(len(rows))
        embed = self.model.embed(batch)
        return self.model.observe(embed, batch[PREV_ACTION], batch[IS_FIRST], state, generator).state

    def recorded(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """What really happened, as ``imagine`` returns it."""
        future = rows[:, self.context_frames :]
        images = {IMAGE_STATIC: self.episodes.image_static, IMAGE_GRIPPER: self.episodes.image_gripper}
        device = self.model.device
        return {key: normalise_image(torch.from_numpy(x[future]).to(device)) for key, x in images.items()}


def _score(
    predicted: dict[str, Tensor], recorded: dict[str, Tensor]
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Similarity ``(n, steps)`` by metric and camera."""
    scores: dict[tuple[str, str], NDArray[np.float64]] = {}
    for camera in CAMERAS:
        x, y = predicted[camera], recorded[camera]
        pieces = list(zip(torch.split(x, DECODED), torch.split(y, DECODED), strict=True))
        for name, measure in (("psnr", psnr), ("ssim", ssim)):
            flat = torch.cat([measure(a.flatten(end_dim=1), b.flatten(end_dim=1)) for a, b in pieces])
            scores[name, camera] = flat.view(x.shape[:2]).double().cpu().numpy()
    return scores


def _side_by_side(images: dict[str, Tensor], count: int) -> NDArray[np.uint8]:
    """Bytes of the first ``count`` sequences, cameras beside each other."""
    sides = [denormalise_image(images[camera][:count]) for camera in CAMERAS]
    frames: NDArray[np.uint8] = torch.cat(sides, dim=-2).cpu().numpy()
    return frames


def _summarise(
    table: dict[tuple[str, str], NDArray[np.float64]],
) -> tuple[pd.DataFrame, dict[str, float]]:
    steps = table["psnr", IMAGE_STATIC].shape[1]
    columns: dict[str, NDArray[np.generic]] = {"step": np.arange(1, steps + 1)}
    summary: dict[str, float] = {}
    for name in ("psnr", "ssim"):
        per_camera = {camera: table[name, camera] for camera in CAMERAS}
        both = np.mean(list(per_camera.values()), axis=0)
        columns[name], columns[f"{name}_std"] = both.mean(axis=0), both.std(axis=0)
        columns |= {f"{name}_{camera}": values.mean(axis=0) for camera, values in per_camera.items()}
        summary[f"{name}_mean"] = float(both.mean())
        summary[f"{name}_std"] = float(both.mean(axis=1).std())
    return pd.DataFrame(columns), summary
