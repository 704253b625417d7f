"""Training a world model on streams of consecutive windows with carried state."""

from collections.abc import Mapping

import torch
from torch import Tensor

from wam.contracts import IS_FIRST, LossOutput
from wam.episodes.published_streams import PublishedStreams, Streams
from wam.episodes.sampler import StreamSampler
from wam.episodes.store import Episodes
from wam.seeding import torch_generator
from wam.world_model.config import WorldModelTrainingConfig
from wam.world_model.frames import make_frames
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState


class WorldModelObjective:
    """The loss of a world model on recorded episodes, for ``wam.training.loop.train``.

    Windows, noise and decoded frames depend on (``seed``, step) only, so two models trained with the same
    seed see the same of each.

    Args:
        model: Already on its device.
        episodes: With images.
        config: Batch sizes and shares.
        seed: Of windows and noise.
    """

    def __init__(
        self, model: WorldModel, episodes: Episodes, config: WorldModelTrainingConfig, *, seed: int
    ) -> None:
        self._model = model
        self._frames = make_frames(episodes, model.device)
        self._config = config
        self._seed = seed
        self._sampler = make_sampler(episodes, config, seed)
        self._state = zero_state(model, config.batch)

    def modules(self) -> WorldModel:
        """The world model."""
        return self._model

    def loss(self, step: int) -> LossOutput:
        """Loss of a step; the states that the streams carry move on."""
        rows, starts_new = self._sampler.rows(step)
        device = self._model.device
        batch = self._frames.batch(rows)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._config.precision == "bf16"):
            output, self._state = self._model.loss(
                batch,
                self._state.masked(torch.from_numpy(~starts_new).to(device)),
                torch_generator(self._seed, "world_model", step, device=device),
                decode_fraction=self._config.decode_fraction,
                reset=self._random_resets(batch[IS_FIRST], step),
            )
        return output

    def _random_resets(self, is_first: Tensor, step: int) -> Tensor | None:
        if self._config.reset_probability == 0:
            return None
        draw = torch.rand(is_first.shape, generator=torch_generator(self._seed, "resets", step))
        return (draw < self._config.reset_probability).to(is_first.device)

    def state_dict(self) -> dict[str, Tensor]:
        """The states that the streams carry."""
        return {"deter": self._state.deter, "stoch": self._state.stoch}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue with saved carried states."""
        device = self._model.device
        self._state = RSSMState(state["deter"].to(device), state["stoch"].to(device))


class WorldModelValidation:
    """Losses on held-out streams, always the same ones: a ``validate`` for the training loop.

    Args:
        model: As trained.
        episodes: Held out, with images.
        config: Batch sizes and number of batches.
        seed: Of windows and noise.
    """

    def __init__(
        self, model: WorldModel, episodes: Episodes, config: WorldModelTrainingConfig, *, seed: int
    ) -> None:
        self._model = model
        self._objective = WorldModelObjective(model, episodes, config, seed=seed)
        self._config = config

    def __call__(self) -> Mapping[str, float]:
        """Mean metrics, named ``validation_...``."""
        self._objective.load_state_dict(zero_state(self._model, self._config.batch)._asdict())
        rows = [self._objective.loss(step).metrics for step in range(self._config.validation_batches)]
        return {
            f"validation_{name}": torch.stack([row[name] for row in rows]).mean().item() for name in rows[0]
        }


def make_sampler(episodes: Episodes, config: WorldModelTrainingConfig, seed: int) -> Streams:
    """The streams that a page asks for."""
    if config.streams == "published":
        return PublishedStreams(
            episodes.episode_start,
            episodes.episode_length,
            batch=config.batch,
            sequence_steps=config.sequence_steps,
            seed=seed,
        )
    return StreamSampler(
        episodes.episode_start,
        episodes.episode_length,
        batch=config.batch,
        sequence_steps=config.sequence_steps,
        seed=seed,
        replace_every=config.replace_every,
    )


def zero_state(model: WorldModel, batch: int) -> RSSMState:
    """The state that every stream starts from."""
    return RSSMState(*(x.detach().clone() for x in model.initial_state(batch))).masked(
        torch.zeros(batch, device=model.device)
    )
