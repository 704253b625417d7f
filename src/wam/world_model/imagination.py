"""The prior of a frozen world model: prepared once for many steps, or of what is carried alone."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from wam.nn.distributions import hard_one_hot
from wam.training.captured import Captured, Recorder
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState


class FrozenPrior:
    """``WorldModel.imagine_step`` of weights that stay as they are; the same samples from the same noise.

    A sampled state is one-hot, so its share of the first layer is a sum of rows and not a product: one eighth
    of a step's work is left out. A state that has at most one value other than 0 in each categorical may
    have any value there.

    Args:
        model: In evaluation mode; its weights must not change while this lives, of which one is copied.
    """

    def __init__(self, model: WorldModel) -> None:
        self._model = model
        size, layer = model.rssm.config, model.rssm.stoch_in
        self._rows = layer.weight.detach().t().contiguous()
        self._first = torch.arange(size.stoch_dim, device=self._rows.device) * size.stoch_classes
        self._bias = layer.bias.detach()

    @torch.no_grad()
    def imagine_step(
        self, state: RSSMState, action: Float[Tensor, "B A"], generator: torch.Generator
    ) -> RSSMState:
        """The state after ``action``, from the prior."""
        rssm = self._model.rssm
        value, place = state.stoch.max(-1)
        part = functional.embedding_bag(place + self._first, self._rows, mode="sum", per_sample_weights=value)
        known = rssm.action_part(action, state.carried)
        inputs = functional.elu(rssm.input_norm(part + self._bias + known))
        deter: Tensor = rssm.cell(inputs, state.deter)
        noise = self._model.noise(len(action), generator=generator)
        after = rssm.moved(state, action)
        stoch = hard_one_hot(rssm.prior_logits(deter, after.carried), noise)
        return after._replace(deter=deter, stoch=stoch)


class CapturedPrior:
    """``WorldModel.imagine_step`` on a GPU, replayed as one graph; the same samples from the same noise.

    Args:
        model: In evaluation mode.
        recorder: Records; a CUDA graph by default.
    """

    def __init__(self, model: WorldModel, recorder: Recorder | None = None) -> None:
        self._model = model
        self._step = Captured(model.rssm.imagine_step, "imagination", recorder)

    @torch.no_grad()
    def imagine_step(
        self, state: RSSMState, action: Float[Tensor, "B A"], generator: torch.Generator
    ) -> RSSMState:
        """The state after ``action``, from the prior."""
        after: RSSMState = self._step(state, action, self._model.noise(len(action), generator=generator))
        return after.map(Tensor.clone)


def frozen_prior(model: WorldModel, *, capture: bool = True) -> FrozenPrior | CapturedPrior | WorldModel:
    """What rolls a frozen model's prior quickest where it is; without ``capture`` nothing is replayed."""
    if model.device.type == "cpu":
        return FrozenPrior(model)
    return CapturedPrior(model) if capture else model


class CarriedPrior:
    """Moves on what states carry besides h and z; those stay as they were at the start.

    For episodes of which nothing else is looked at: where a policy sees the carried scene, or colours painted
    from it, and its judge reads it, imagining h and z is nearly all of the work and changes nothing.

    Args:
        model: That carries a scene, in evaluation mode.
    """

    def __init__(self, model: WorldModel) -> None:
        self._model = model

    @torch.no_grad()
    def imagine_step(
        self,
        state: RSSMState,
        action: Float[Tensor, "B A"],
        generator: torch.Generator,  # noqa: ARG002 - nothing is drawn
    ) -> RSSMState:
        """The state after ``action``: outset, scene and arm as ``WorldModel.imagine_step`` moves them."""
        return self._model.rssm.moved(state, action)
