"""The diffusion policy: loss, sampling, chains and their log-probabilities."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wam.contracts import LossOutput, config_from_dict, config_to_dict
from wam.nn.standardizer import Standardizer
from wam.policy.chain import DenoisingChain, chain_steps, gaussian_log_prob
from wam.policy.config import DiffusionConfig, Sees
from wam.policy.denoiser import DiffusionMLP
from wam.policy.denoising_gradient import denoising_gradient
from wam.policy.noise_schedule import NoiseSchedule
from wam.training.checkpoint import Checkpoint

KIND = "policy"
"""Kind of the checkpoint of a cloned policy."""


class DiffusionPolicy(nn.Module):
    """Action chunks by denoising, given a condition (features of the world model, or any other vector).

    Args:
        cond_dim: C, width of the condition.
        config: Sizes, process and noise floors.

    Source:
        docs/published.md, cloning.
    """

    def __init__(self, cond_dim: int, config: DiffusionConfig) -> None:
        super().__init__()
        self.cond_dim = cond_dim
        self.config = config
        self.standardizer = Standardizer(cond_dim, config.standardize_floor)
        self.denoiser = DiffusionMLP(cond_dim, config)
        self.schedule = NoiseSchedule(config.denoising_steps)

    @property
    def sees(self) -> Sees:
        """What its condition is made of."""
        return self.config.sees

    def fit_condition(self, cond: Float[Tensor, "N C"], parts: Sequence[int] = ()) -> None:
        """Take the standardiser's statistics from demonstrations; does nothing when it is switched off.

        Args:
            cond: Conditions.
            parts: Widths of their parts; without them, or without ``parts_alike``, numbers count alike.
        """
        if self.config.standardize_condition:
            self.standardizer.fit(cond, parts if self.config.parts_alike else ())

    def project(self, cond: Float[Tensor, "*B C"]) -> Float[Tensor, "*B hidden"]:
        """Share of the first layer that comes from the condition: computed once for all denoising steps."""
        return self.denoiser.project_condition(self.standardizer(cond))

    def loss(
        self, cond: Float[Tensor, "B C"], action: Float[Tensor, "B Hs A"], generator: torch.Generator
    ) -> LossOutput:
        """Mean squared error of what is predicted at a random denoising step of each row.

        Args:
            cond: Conditions.
            action: Expert chunks in [-1, 1].
            generator: Draws the steps and the noise.
        """
        noisy, target, k = self._noised(action, generator)
        projected = self.denoiser.project_steps()[k] + self.project(cond)
        loss = nn.functional.mse_loss(self.denoiser(noisy, projected), target)
        return LossOutput(loss, {f"{self.config.predicts}_mse": loss.detach()})

    @torch.no_grad()
    def loss_with_gradient(
        self, cond: Float[Tensor, "B C"], action: Float[Tensor, "B Hs A"], generator: torch.Generator
    ) -> LossOutput:
        """As :meth:`loss`, with its gradient left in the parameters: on a CPU, quicker than autograd."""
        noisy, target, k = self._noised(action, generator)
        loss = denoising_gradient(self.denoiser, noisy, k, self.standardizer(cond), target)
        return LossOutput(loss, {f"{self.config.predicts}_mse": loss})

    def _noised(self, action: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Chunks at a random denoising step each, what is to be predicted of them, and the steps."""
        steps, rows = self.config.denoising_steps, (len(action),)
        k = torch.randint(steps, rows, generator=generator, device=generator.device).to(action.device)
        noise = torch.randn(action.shape, generator=generator, device=generator.device).to(action.device)
        target = noise if self.config.predicts == "noise" else action
        return self.schedule.add_noise(action, noise, k), target, k

    def transition_mean(
        self, noisy: Float[Tensor, "*B Hs A"], k: Int[Tensor, "*#B"], projected: Float[Tensor, "*#B hidden"]
    ) -> Float[Tensor, "*B Hs A"]:
        """Mean of the chunk one denoising step on; differentiable in the weights and in ``noisy``."""
        return self._transition_mean(noisy, k, self.denoiser.project_steps()[k] + projected)

    def _transition_mean(self, noisy: Tensor, k: Tensor, projected: Tensor) -> Tensor:
        """As :meth:`transition_mean`, the step's share of the first layer already in ``projected``."""
        predicted = self.denoiser(noisy, projected)
        if self.config.predicts == "noise":
            clean = self.schedule.clean_estimate(noisy, predicted, k)
        else:
            clean = predicted.clamp(-1, 1)
        return self.schedule.posterior_mean(clean, noisy, k)

    def stds(self, *, deterministic: bool) -> Float[Tensor, " K"]:
        """Deviation of the injected noise at every step k = 0 .. K - 1 (docs/published.md, cloning)."""
        if deterministic:
            return self.schedule.floored_std(self.config.deterministic_std, final=0.0)
        return self.schedule.floored_std(self.config.min_sampling_std, final=self.config.final_sampling_std)

    @torch.no_grad()
    def sample(
        self, cond: Float[Tensor, "B C"], *, generator: torch.Generator, deterministic: bool
    ) -> Float[Tensor, "B Hs A"]:
        """Denoise one chunk per row.

        Args:
            cond: Conditions.
            generator: Draws the first chunk and the injected noise.
            deterministic: True for evaluation (no noise at the last step, next to none before it), False for
                exploration (``min_sampling_std``).

        Returns:
            Chunks; not clipped, so exploration noise may leave [-1, 1].
        """
        chain = self.sample_chain(
            cond, generator=generator, deterministic=deterministic, ft_denoising_steps=1
        )
        return chain.chunk

    @torch.no_grad()
    def sample_chain(
        self,
        cond: Float[Tensor, "B C"],
        *,
        generator: torch.Generator,
        deterministic: bool,
        ft_denoising_steps: int,
        base: "DiffusionPolicy | None" = None,
        place: Int[Tensor, " R"] | None = None,
    ) -> DenoisingChain:
        """Denoise one chunk per row and keep the last steps: :meth:`unit_noise`, then :meth:`denoise`.

        Args:
            cond: Conditions.
            generator: Draws the first chunk and the injected noise.
            deterministic: As in :meth:`sample`.
            ft_denoising_steps: As in :meth:`denoise`, as are base, place and what is raised.
            base: See there.
            place: See there.
        """
        noise = self.unit_noise(len(cond) if place is None else len(place), generator).to(cond.device)
        return self.denoise(
            cond,
            noise,
            deterministic=deterministic,
            ft_denoising_steps=ft_denoising_steps,
            base=base,
            place=place,
        )

    @torch.no_grad()
    def denoise(
        self,
        cond: Float[Tensor, "B C"],
        noise: Float[Tensor, "draws R Hs A"],
        *,
        deterministic: bool,
        ft_denoising_steps: int,
        base: "DiffusionPolicy | None" = None,
        place: Int[Tensor, " R"] | None = None,
    ) -> DenoisingChain:
        """Chains from noise that was drawn.

        Args:
            cond: Conditions.
            noise: Of :meth:`unit_noise`, for each chain.
            deterministic: As in :meth:`sample`.
            ft_denoising_steps: n, number of transitions kept, 1 .. K.
            base: Policy that runs the K - n steps before (the frozen copy in fine-tuning); None: this one.
            place: Condition of each chain, where several share one; None: a chain for each condition.

        Raises:
            ValueError: If n is out of range.
        """
        steps, kept = self.config.denoising_steps, ft_denoising_steps
        if not 1 <= kept <= steps:
            raise ValueError(f"ft_denoising_steps {kept} is not in 1 .. denoising_steps {steps}")
        first = self if base is None else base
        std = self.stds(deterministic=deterministic)
        ks = torch.arange(steps, device=cond.device)[:, None]  # as a number each would be read by the host
        x, projected, each = noise[steps], first._placed(cond, place), first.denoiser.project_steps()
        for k in range(steps - 1, kept - 1, -1):
            x = first._transition_mean(x, ks[k], projected + each[k]) + std[k] * noise[k]
        if first is not self:
            projected, each = self._placed(cond, place), self.denoiser.project_steps()
        actions, means = [x], []
        for k in range(kept - 1, -1, -1):
            mean = self._transition_mean(x, ks[k], projected + each[k])
            x = mean + std[k] * noise[k]
            means.append(mean)
            actions.append(x)
        return DenoisingChain(actions=torch.stack(actions, 1), mean=torch.stack(means, 1))

    def _placed(self, cond: Tensor, place: Tensor | None) -> Tensor:
        projected = self.project(cond)
        return projected if place is None else projected.index_select(0, place)

    def unit_noise(self, rows: int, generator: torch.Generator) -> Float[Tensor, "draws rows Hs A"]:
        """K + 1 draws for so many chains, on the generator's device; the last starts a chain, unclipped."""
        draws = self.config.denoising_steps + 1
        shape = (draws, rows, self.config.horizon_steps, self.config.action_dim)
        noise = torch.randn(shape, generator=generator, device=generator.device)
        noise[:-1].clamp_(-self.config.noise_clip, self.config.noise_clip)
        return noise

    def log_prob(
        self,
        chain: DenoisingChain,
        cond: Float[Tensor, "U C"],
        min_std: float,
        place: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B n Hs A"]:
        """Log-probability of every element of every transition of a chain, in one pass.

        Args:
            chain: Chains whose last n steps are scored.
            cond: Conditions.
            min_std: Floor of the transitions' deviation; 0.1 published.
            place: Condition of each chain, where several share one; None: one for each.
        """
        k = chain_steps(chain.steps, cond.device)
        mean = self.transition_mean(chain.actions[:, :-1], k[None], self._placed(cond, place)[:, None])
        return gaussian_log_prob(chain.actions[:, 1:], mean, self.schedule.floored_std(min_std)[k][None])

    def to_checkpoint(self) -> Checkpoint:
        """Weights, statistics and configuration; kind ``policy``."""
        weights = {name: value.detach().clone() for name, value in self.state_dict().items()}
        page = {"cond_dim": self.cond_dim, "diffusion": config_to_dict(self.config)}
        return Checkpoint(kind=KIND, weights=weights, config=page, extra={})

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "DiffusionPolicy":
        """Rebuild a policy.

        Raises:
            ValueError: If the checkpoint is of another kind.
        """
        checkpoint.expect(KIND)
        diffusion = config_from_dict(DiffusionConfig, checkpoint.config["diffusion"])
        policy = cls(int(checkpoint.config["cond_dim"]), diffusion)
        checkpoint.load_into(policy)
        return policy
