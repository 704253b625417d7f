"""Practice in the imagination of a frozen world model."""

from torch import nn

from wam.policy.config import Sees
from wam.reward.judge import Judge
from wam.rl.config import PPOConfig
from wam.rl.imagined_env import ImaginationModel, ImaginedEnv
from wam.rl.practice import Identity, named_weights
from wam.seeding import torch_generator
from wam.sight.conditions import imagined_sight, shows_carried_alone
from wam.world_model.imagination import CarriedPrior, frozen_prior
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState


class Imagination:
    """Practice in the frozen world model.

    Args:
        world_model: Rolls the prior.
        judge: Decides where a task is solved.
        start_states: Latent states of random scenes, ``(N, ...)``; never of held-out starts.
        sees: What the policy sees.
        capture: On a GPU, replay a step of the prior as one graph.

    Raises:
        ValueError: If the world model cannot show that.
    """

    name = "imagined"

    def __init__(
        self,
        world_model: ImaginationModel,
        judge: Judge,
        start_states: RSSMState,
        sees: Sees,
        *,
        capture: bool = True,
    ) -> None:
        self._sight = imagined_sight(sees, world_model)
        self._world_model, self._judge, self._start_states = world_model, judge, start_states
        self._prior = _prior(world_model, judge, sees, capture=capture)

    @property
    def scenes(self) -> int:
        """N, scenes that it starts from."""
        return len(self._start_states.deter)

    def environment(self, config: PPOConfig, act_steps: int, *, seed: int, iteration: int) -> ImaginedEnv:
        """See ``Practice``."""
        device = self._start_states.deter.device
        return ImaginedEnv(
            self._prior,
            self._judge,
            self._start_states,
            num_envs=config.envs,
            imagine_steps=config.imagine_steps,
            act_steps=act_steps,
            generator=torch_generator(seed, "imagination", iteration, device=device),
            sight=self._sight,
            **config.imagined_ways,
        )

    def identity(self) -> Identity:
        """See ``Practice``."""
        weights = {f"start/{name}": value for name, value in self._start_states.tensors.items()}
        weights |= named_weights("judge", self._judge)
        if isinstance(self._world_model, nn.Module):
            weights |= named_weights("world_model", self._world_model)
        return Identity(weights, self._judge.page)


def _prior(world_model: ImaginationModel, judge: Judge, sees: Sees, *, capture: bool) -> ImaginationModel:
    """What rolls the model for an episode of which policy and judge look at no more than they do."""
    if not isinstance(world_model, WorldModel):
        return world_model
    if judge.judges_carried_alone and shows_carried_alone(sees, world_model):
        return CarriedPrior(world_model)
    return frozen_prior(world_model, capture=capture)
