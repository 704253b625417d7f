"""Stages on a Ray cluster of two nodes give what they give on one machine, to the byte."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ray_nodes import two_nodes
from toy_world import tiny_world_model

from wam.demonstrations.failures import NearMissConfig, record_attempts
from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.store import EpisodeStore
from wam.evaluation.baselines import expert_rollout
from wam.parallel.map import RayWorkers, Workers, shutdown_workers
from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.frames import SimFrames
from wam.sim.play import PlayConfig, collect_play
from wam.sim.pool import SimPool, SimWorkerError
from wam.sim.starts import sample_start
from wam.world_model.featurize import features_by_row, featurize_episodes
from wam.world_model.featurize_pieces import featurize_store

pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = pytest.mark.slow

SIM = SimConfig()
STARTS = [sample_start(SIM, numpy_generator(0, "pool", i), "turn_on_led") for i in range(3)]
ACTIONS = np.random.default_rng(0).uniform(-1, 1, (4, len(STARTS), 7))


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with two_nodes():
        yield


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_collected_play(tmp_path: Path) -> None:
    page = PlayConfig(
        episode_frames=66, min_training_segments=0, test_starts=0, selection_starts=0, training_episodes=3
    )
    for name, workers in (("one", 1), ("ray", RayWorkers())):
        collect_play(tmp_path / name, SIM, replace(page, workers=workers))
        (tmp_path / name / "play_report.json").unlink()  # it holds seconds
    assert files(tmp_path / "one") == files(tmp_path / "ray")


def test_packed_shards(make_split: Callable[..., Path], tmp_path: Path) -> None:
    split = make_split(lengths=(9, 12))
    digests = {
        ingest_split(
            split, tmp_path / f"{name}.zarr", IngestConfig(workers=workers, chunk_frames=4, shard_frames=8)
        ).digest
        for name, workers in (("one", 1), ("ray", RayWorkers()))
    }
    assert len(digests) == 1


def test_attempts_and_expert_rollouts() -> None:
    page = NearMissConfig(seed=0, train_starts=0, held_out_starts=2, kinds=(), max_steps=20)

    def blocks(workers: Workers) -> list[dict[str, np.ndarray]]:
        return list(record_attempts(SIM, page, workers=workers, tasks=["turn_on_led"]))

    for one, other in zip(blocks(1), blocks(RayWorkers()), strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one | other)
    ends = [
        expert_rollout(SIM, STARTS, "turn_on_led", workers=workers, max_steps=20)
        for workers in (1, RayWorkers())
    ]
    np.testing.assert_array_equal(ends[0].steps, ends[1].steps)


def test_features(make_store: Callable[..., EpisodeStore]) -> None:
    store, model = make_store(lengths=(9, 4, 7)), tiny_world_model()
    checkpoint = model.to_checkpoint()
    alone = featurize_episodes(model, store.load(), seed=3, batch=2)
    pieces = featurize_store(checkpoint, store, seed=3, batch=2, workers=RayWorkers())
    want, got = (features_by_row(x, store.num_frames, model.feat_dim) for x in (alone, pieces))
    np.testing.assert_array_equal(got, want)


def run(pool: SimPool, *, lose_at: int | None = None) -> list[SimFrames]:
    import ray

    frames = [pool.reset(STARTS, render=True)]
    for index, actions in enumerate(ACTIONS):
        if index == lose_at:
            ray.kill(pool._workers[0]._actor)  # type: ignore[attr-defined]
        frames.append(pool.step(actions, active=np.array([True, index < 2, True]), render=True))
    return frames


def test_simulators_of_a_pool_also_when_one_is_lost() -> None:
    with SimPool(SIM, workers=0) as pool:
        want = run(pool)
    with SimPool(SIM, workers=RayWorkers(2)) as pool:
        for got in (run(pool), run(pool, lose_at=3)):
            for one, other in zip(want, got, strict=True):
                for name in ("image_static", "image_gripper", "robot_obs", "scene_state"):
                    np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        with pytest.raises(SimWorkerError, match="finite"):
            pool.step(np.full((3, 7), np.nan), active=np.ones(3, bool), render=False)


def test_leaving_the_cluster_and_coming_back() -> None:
    shutdown_workers()
    with SimPool(SIM, workers=RayWorkers(1)) as pool:
        assert len(pool.reset(STARTS, render=False)) == 3
