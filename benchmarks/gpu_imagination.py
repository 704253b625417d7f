"""Imagining and fine-tuning on a GPU."""

from collections.abc import Iterator

import torch

from benchmarks import ppo
from benchmarks.gpu_run import Figure, Run
from wam.rl.samples import minibatch_of_rows
from wam.seeding import torch_generator
from wam.world_model.imagination import frozen_prior

LATENT_STEPS = 100_000.0
"""A second, to reach on an H200."""
ITERATION_SECONDS = 0.2
"""Of a PPO iteration, at most, likewise."""
HORIZON = 36
"""Latent steps of a timed call."""


def imagination(run: Run) -> Iterator[Figure]:
    """Latent steps a second: the prior alone by width, then with policy and classifier."""
    ours = ppo.Imagination(run.sizes.page, run.sizes.ppo, device=run.device)
    world = frozen_prior(ours.model)
    for envs in run.sizes.envs:
        generator = torch_generator(3, device=run.device)
        action = torch.rand(envs, 7, generator=generator, device=run.device) * 2 - 1
        rows = torch.arange(envs, device=run.device) % len(ours.starts.deter)

        def roll(action: torch.Tensor = action, rows: torch.Tensor = rows) -> None:
            generator, state = torch_generator(4, device=run.device), ours.starts.rows(rows)
            for _ in range(HORIZON):
                state = world.imagine_step(state, action, generator)

        with torch.no_grad():
            seconds = run.seconds(roll)
        note = f"{1e6 * seconds / HORIZON:.0f} us a step of {envs} environments, prior alone, fp32"
        what = f"latent steps, {envs} environments"
        yield Figure("imagination", what, envs * HORIZON / seconds, "1/s", note=note)
    steps = ours.sizes["envs"] * ours.decisions * ours.learner.actor.config.act_steps
    seconds = run.seconds(ours.roll)
    what = f"latent steps with policy and classifier, {ours.sizes['envs']} x {ours.decisions} x 4"
    bar = None if run.toy else LATENT_STEPS
    note = f"one iteration's experience in {seconds:.3f} s, fp32"
    yield Figure("imagination", what, steps / seconds, "1/s", bar, note=note)


def fine_tuning(run: Run) -> Iterator[Figure]:
    """A gradient step and whole iterations."""
    plain = ppo.Imagination(run.sizes.page, run.sizes.ppo, bc_coef=0.0, device=run.device)
    targets = plain.learner.targets(plain.roll())
    total = targets.old_log_prob.numel()
    rows = torch.randperm(total, generator=torch_generator(9))[: run.sizes.ppo["samples"]]
    batch = minibatch_of_rows(rows, plain.learner.config.ft_denoising_steps).to(run.device)
    seconds = run.seconds(ppo.our_update(plain.learner, targets, batch))
    what = f"gradient step on {len(rows):,} samples without BC term"
    yield Figure("ppo", what, 1e3 * seconds, "ms", note="fp32")
    # without the limit on the KL every iteration makes all its passes
    settings = {"bc_draws": "iteration", "bc_fraction": 0.25, "target_kl": None, "device": run.device}
    for coef in (0.0, 0.025):
        ours = ppo.Imagination(run.sizes.page, run.sizes.ppo, bc_coef=coef, **settings)  # type: ignore[arg-type]
        taken = run.begin_peak()
        seconds = run.seconds(lambda ours=ours: ours.learner.update(ours.roll(), torch_generator(10)))  # type: ignore[misc]
        peak = run.peak()
        note = f"experience and {ours.learner.config.update_epochs} passes, fp32"
        note += "" if peak is None else f", peak memory {peak - taken:.2f} GB beyond {taken:.2f}"
        what = f"iteration {'with' if coef else 'without'} BC term"
        bar = None if run.toy else ITERATION_SECONDS
        yield Figure("ppo", what, seconds, "s", bar, at_most=True, note=note)
