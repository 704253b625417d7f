"""Tables of a pool in workers of a Ray cluster.

A table is a function of its start and the actions since, so a worker that is lost with its node is made good
elsewhere: another one takes the same start and the same actions, without drawing, and goes on.
"""

import pickle
from typing import Any, cast

import numpy as np

from wam.parallel.ray_crew import connect_ray, ray_worker_count
from wam.parallel.stop import check_stop
from wam.parallel.workers import ONE_THREAD, STOP_CHECK_S, TRIES, RayWorkers
from wam.sim.config import SimConfig
from wam.sim.env_group import EnvGroup, SimWorkerError
from wam.sim.frames import SimFrames


def ray_sim_workers(config: SimConfig, workers: RayWorkers) -> "list[RaySimWorker]":
    """Workers for the tables of one pool, spread over the nodes.

    They claim no core: a pool is kept between its uses, and would keep the cluster from all other work.
    """
    return [RaySimWorker(config) for _ in range(ray_worker_count(workers))]


class _RemoteGroup:
    """An ``EnvGroup`` in a worker of the cluster; speaks in pickles, as local workers do."""

    def __init__(self, config: SimConfig) -> None:
        self._group = EnvGroup(config)

    def answer(self, request: bytes) -> bytes:
        method, *arguments = pickle.loads(request)  # noqa: S301 - from the driver
        return pickle.dumps(getattr(self._group, method)(*arguments), protocol=pickle.HIGHEST_PROTOCOL)


class RaySimWorker:
    """A ``SimWorker`` in the cluster.

    Args:
        config: The simulator.
    """

    def __init__(self, config: SimConfig) -> None:
        self._ray = connect_ray()
        self._config = config
        self._since_reset: list[tuple[Any, ...]] = []
        self._losses = 0
        self._begin()

    def _begin(self) -> None:
        actor = self._ray.remote(
            num_cpus=0, scheduling_strategy="SPREAD", runtime_env={"env_vars": ONE_THREAD}
        )(_RemoteGroup)
        self._actor = actor.remote(self._config)

    def send(self, *request: Any) -> None:
        """See ``SimWorker``."""
        if request[0] == "reset":
            self._since_reset, self._losses = [], 0
        self._since_reset.append(request)
        self._ask(request)

    def _ask(self, request: tuple[Any, ...]) -> None:
        pickled = pickle.dumps(request, protocol=pickle.HIGHEST_PROTOCOL)
        self._answer = self._actor.answer.remote(pickled)

    def receive(self) -> SimFrames:
        """See ``SimWorker``."""
        errors = self._ray.exceptions
        while True:
            while not self._ray.wait([self._answer], timeout=STOP_CHECK_S)[0]:
                check_stop()
            try:
                answer = pickle.loads(self._ray.get(self._answer))  # noqa: S301 - from our own actor
            except errors.RayTaskError as error:
                raise SimWorkerError(f"a simulator of the cluster failed:\n{error}") from error
            except errors.RayError as error:
                self._losses += 1
                if self._losses >= TRIES:
                    raise SimWorkerError(
                        f"a simulator of the cluster was lost {self._losses} times since its reset: {error}"
                    ) from error
                self._begin()
                self._repeat()
            else:
                return cast(SimFrames, answer)

    def _repeat(self) -> None:
        """Everything since the reset again, in a new worker; only the last request is drawn."""
        *before, last = self._since_reset
        for *request, drawn in before:
            self._ask((*request, np.zeros_like(drawn)))
        self._ask(last)

    def close(self) -> None:
        """See ``SimWorker``."""
        if self._ray.is_initialized():
            self._ray.kill(self._actor)
