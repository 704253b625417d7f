"""A world model's training step on a GPU: loss and gradient as one graph (``wam.training.captured``)."""

from functools import partial

from torch import Tensor, nn

from wam.contracts import LossOutput
from wam.training.captured import Captured, Recorder
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState
from wam.world_model.train import StepInputs, WorldModelObjective


def replayed_on_gpu(
    objective: WorldModelObjective, *, capture: bool
) -> "WorldModelObjective | CapturedObjective":
    """The objective, captured where its model is on a GPU and that is asked for."""
    on_gpu = objective.modules().device.type == "cuda"
    return CapturedObjective(objective) if on_gpu and capture else objective


class CapturedObjective:
    """An objective whose loss and gradient are replayed; windows and draws are made as ever.

    Clipping and the optimizer's step stay outside: a few kernels, which read a rate that changes.

    Args:
        objective: Of a world model on a GPU.
        recorder: Records; a CUDA graph by default.
    """

    def __init__(self, objective: WorldModelObjective, recorder: Recorder | None = None) -> None:
        self._objective = objective
        self._parameters = [p for p in objective.modules().parameters() if p.requires_grad]
        work = partial(_loss_and_gradient, objective, self._parameters)
        self._gradient = Captured(work, "world model", recorder)

    @property
    def recorded(self) -> bool:
        """Whether steps are replayed by now."""
        return self._gradient.recorded

    def modules(self) -> WorldModel:
        """The world model."""
        return self._objective.modules()

    def loss(self, step: int) -> LossOutput:
        """The plain loss of a step."""
        return self._objective.loss(step)

    def accumulate(self, step: int) -> LossOutput:
        """See ``loop.OwnGradient``; gradients are set, not added to."""
        loss, metrics, state, gradients = self._gradient(self._objective.inputs(step))
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        self._objective.go_on(state)  # of which the next step's inputs are a copy
        # the next replay writes where these are
        return LossOutput(loss.clone(), {name: value.clone() for name, value in metrics.items()})

    def state_dict(self) -> dict[str, Tensor]:
        """The objective's."""
        return self._objective.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The objective's."""
        self._objective.load_state_dict(state)


def _loss_and_gradient(
    objective: WorldModelObjective, parameters: list[nn.Parameter], inputs: StepInputs
) -> tuple[Tensor, dict[str, Tensor], RSSMState, list[Tensor | None]]:
    """Loss, metrics, states after the windows, and gradients, which are left in the parameters as well."""
    output, state = objective.loss_of(inputs)
    for parameter in parameters:
        parameter.grad = None
    # not autograd.grad: it may give two parameters one tensor, and clipping would scale it twice
    output.loss.backward()  # type: ignore[no-untyped-call]
    return output.loss.detach(), output.metrics, state, [parameter.grad for parameter in parameters]
