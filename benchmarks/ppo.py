"""Fine-tuning in imagination at the published sizes: rollout, gradient step and iteration against DPPO.

The peer's policy and updates are DPPO's, its world model is LUMOS's; rows whose peer is not named are left
out. Everything runs in fp32 on one thread, in this process, in turn, with the allocator settings that
training uses.

    python -m benchmarks ppo --dppo DIR --lumos DIR --extra DIR
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import Row, ratio_row, save, table, take_turns
from benchmarks.peers import version_of
from benchmarks.world_model import FULL, build
from wam.nn.linear_init import fan_in_uniform_
from wam.policy.config import DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig
from wam.rl.buffer import Rollouts, collect
from wam.rl.config import PPOConfig
from wam.rl.imagined_env import ImaginedEnv
from wam.rl.samples import Minibatch, minibatch_of_rows
from wam.rl.update import Learner, Targets, make_learner
from wam.seeding import torch_generator
from wam.training.memory import keep_freed_memory
from wam.world_model.imagination import frozen_prior
from wam.world_model.state import RSSMState

METHOD = (
    "Median [smallest..largest] ratio of CPU seconds (`time.process_time`), both sides in turn in one "
    "process, one thread, fp32, equal weights of policy and critic, random start states, the same reward "
    "classifier (ours) and allocator settings on both sides. 50 environments, 36 decisions of 4 actions, 20 "
    "denoising steps of which 10 are trained. DPPO is called without its agent, LUMOS without Lightning."
)
EQUAL = 1e-5
"""Largest difference of a gradient, relative to that tensor's largest value."""
SIZES = {"envs": 50, "episodes": 2, "hidden": 512, "critic_hidden": 256, "classifier": 1024, "samples": 7500}
TOY = {"envs": 3, "episodes": 1, "hidden": 16, "critic_hidden": 8, "classifier": 8, "samples": 200}


class Imagination:
    """Our side: frozen parts, an imagined environment and a learner.

    Args:
        page: Configuration of the world model.
        sizes: Of the rest.
        device: Of everything.
        changes: Settings of the learner that differ from the published ones.
    """

    def __init__(
        self,
        page: dict[str, Any],
        sizes: dict[str, int],
        *,
        device: torch.device | str = "cpu",
        **changes: object,
    ) -> None:
        self.model = build(page).to(device).eval().requires_grad_(False)
        self.sizes = sizes
        width = sizes["classifier"]
        classes = ClassifierConfig(
            encoder_hidden=width,
            embed_dim=max(1, width // 4),
            head_hidden=width,
            sees_start=False,
            standardize=False,
        )
        self.classifier = RewardClassifier(self.model.feat_dim, classes).eval().requires_grad_(False)
        policy = DiffusionPolicy(
            self.model.feat_dim, DiffusionConfig(hidden=sizes["hidden"], standardize_condition=False)
        )
        fan_in_uniform_(self.classifier, 1)
        fan_in_uniform_(policy, 2)
        self.classifier.to(device)
        config = PPOConfig(
            iterations=1,
            envs=sizes["envs"],
            episodes_per_iteration=sizes["episodes"],
            eval_every=1,
            critic_hidden=sizes["critic_hidden"],
            reward_steps="last",
            minibatch=sizes["samples"],
        )
        self.learner = make_learner(policy.to(device), replace(config, **changes), 3)  # type: ignore[arg-type]
        self.starts = self._starts(200)
        self.prior = frozen_prior(self.model)  # once a training, as fine-tuning does

    def _starts(self, count: int) -> RSSMState:
        size, generator = self.model.config.rssm, torch_generator(4)
        classes = torch.randint(size.stoch_classes, (count, size.stoch_dim), generator=generator)
        stoch = torch.nn.functional.one_hot(classes, size.stoch_classes).float()
        deter = torch.rand(count, size.deter, generator=generator) * 2 - 1
        return RSSMState(deter.to(self.model.device), stoch.to(self.model.device))

    @property
    def decisions(self) -> int:
        """Decisions of an environment in an iteration."""
        return self.learner.config.decisions(self.learner.actor.config.act_steps)

    def roll(self) -> Rollouts:
        """Collect one iteration of experience."""
        config = self.learner.config
        env = ImaginedEnv(
            self.prior,
            self.classifier,
            self.starts,
            num_envs=config.envs,
            imagine_steps=config.imagine_steps,
            act_steps=self.learner.actor.config.act_steps,
            generator=torch_generator(5, device=self.model.device),
            reward_steps=config.reward_steps,
        )
        return collect(env, self.learner.explore, decisions=self.decisions, generator=torch_generator(6))


def peer_roll(ours: Imagination, dppo_model: Any, lumos_model: Any) -> Callable[[], None]:
    """The same experience with DPPO's policy and LUMOS's dream, judged by our classifier."""
    from benchmarks.peers import dppo  # noqa: PLC0415 - drivers are loaded only where their peer is named

    episode = ours.decisions // ours.sizes["episodes"]
    starts, envs = ours.starts, ours.sizes["envs"]
    generator = torch_generator(7)

    @torch.no_grad()
    def work() -> None:
        state: tuple[Tensor, ...] = (starts.deter[:envs], starts.stoch[:envs].flatten(1))
        age = torch.zeros(envs)
        for _ in range(ours.decisions):
            chunk = dppo.act(dppo_model, torch.cat(state, -1))
            for action in chunk.clamp(-1, 1).unbind(1):
                _, state = lumos_model.dream(action, state)
            age += 1
            ended = ours.classifier.predict(torch.cat(state, -1)) | (age >= episode)
            rows = torch.randint(len(starts.deter), (envs,), generator=generator)
            fresh = (starts.deter[rows], starts.stoch[rows].flatten(1))
            state = tuple(torch.where(ended[:, None], a, b) for a, b in zip(fresh, state, strict=True))
            age *= ~ended

    return work


def our_update(learner: Learner, targets: Targets, batch: Minibatch) -> Callable[[], None]:
    """One gradient step on actor and critic."""
    learner.prepare(targets, torch_generator(8))

    def work() -> None:
        learner.step(targets, batch, torch_generator(8), train_actor=True)

    return work


def gradient_difference(ours: Imagination, peer: Any, targets: Targets, old: Tensor, rows: Tensor) -> float:
    """Largest difference of a gradient of the actor, relative to the largest value of that tensor."""
    from benchmarks.peers import dppo  # noqa: PLC0415

    learner = ours.learner
    batch = minibatch_of_rows(rows, learner.config.ft_denoising_steps)
    learner.backward(targets, batch, torch_generator(8), train_actor=True)
    peer.zero_grad()
    settings: Any = {"config": learner.config, "act_steps": learner.actor.config.act_steps}
    dppo.loss(peer, targets, old, rows, **settings).backward()  # type: ignore[no-untyped-call]
    worst = 0.0
    named = dict(learner.actor.named_parameters())
    for name, theirs in dppo.gradients(peer, learner.actor).items():
        grad = named[name].grad
        assert grad is not None
        worst = max(worst, float((grad - theirs).abs().max() / theirs.abs().max()))
    return worst


def rollout_row(args: argparse.Namespace) -> tuple[Row, float, float]:
    """Imagining one iteration; also the seconds of either side."""
    from benchmarks.peers import dppo, lumos  # noqa: PLC0415

    ours = Imagination(args.page, args.sizes)
    learner = ours.learner
    peer = dppo.build(args.dppo, learner.actor, learner.critic, learner.config)
    world = lumos.build(args.lumos, args.sizes["envs"])
    sides = {"ours": ours.roll, "theirs": peer_roll(ours, peer, world)}
    seconds = take_turns(sides, args.turns)
    envs, decisions = args.sizes["envs"], ours.decisions
    row = ratio_row(
        f"imagined rollout {envs} x {decisions} x 4, fp32/fp32",
        "DPPO + LUMOS",
        seconds["theirs"],
        seconds["ours"],
        bar=1.65,
        note=f"ours {envs * decisions * 4 / median(seconds['ours']):,.0f} latent steps/s",
    )
    return row, median(seconds["ours"]), median(seconds["theirs"])


def update_row(args: argparse.Namespace, *, regularised: bool) -> tuple[Row, float]:
    """One gradient step; also the peer's seconds."""
    from benchmarks.peers import dppo  # noqa: PLC0415

    coef = 0.025 if regularised else 0.0
    ours = Imagination(args.page, args.sizes, bc_coef=coef, bc_draws="row")
    learner = ours.learner
    targets = learner.targets(ours.roll())
    peer = dppo.build(args.dppo, learner.actor, learner.critic, learner.config)
    old = dppo.raw_log_prob(peer, targets)
    total = targets.old_log_prob.numel()
    rows = torch.randperm(total, generator=torch_generator(9))[: args.sizes["samples"]]
    note = "the same number of base chains, drawn from other noise"
    if not regularised:
        worst = gradient_difference(ours, peer, targets, old, rows)
        if worst > EQUAL:
            raise AssertionError(f"gradients differ by {worst:.1e} of their largest value")
        note = f"largest difference of a gradient {worst:.1e} of the largest value"
    batch = minibatch_of_rows(rows, learner.config.ft_denoising_steps)
    settings: Any = {"config": learner.config, "act_steps": learner.actor.config.act_steps}
    sides = {
        "ours": our_update(learner, targets, batch),
        "theirs": dppo.update(peer, targets, old, rows, **settings),
    }
    seconds = take_turns(sides, args.long_turns if regularised else args.turns)
    row = ratio_row(
        f"PPO update {len(rows):,} samples {'with' if regularised else 'without'} BC term, fp32/fp32",
        "DPPO",
        seconds["theirs"],
        seconds["ours"],
        bar=3.5,
        note=note,
    )
    return row, median(seconds["theirs"])


def iteration_rows(args: argparse.Namespace, peer_roll_s: float, peer_update_s: float) -> list[Row]:
    """A whole iteration, ours run in full, the peer's put together from its measured parts."""
    rows = []
    for draws, fraction in (("row", 1.0), ("observation", 0.25), ("iteration", 0.25)):
        if draws == "row" and not args.same_draws:
            continue
        ours = Imagination(
            args.page, args.sizes, bc_coef=0.025, bc_draws=draws, bc_fraction=fraction, target_kl=None
        )
        learner = ours.learner

        def work(ours: Imagination = ours, learner: Learner = learner) -> None:
            learner.update(ours.roll(), torch_generator(10))

        seconds = take_turns({"ours": work}, args.long_turns)["ours"]
        samples = args.sizes["envs"] * ours.decisions * learner.config.ft_denoising_steps
        steps = learner.config.update_epochs * max(1, samples // args.sizes["samples"])
        theirs = [peer_roll_s + steps * peer_update_s] * len(seconds)
        rows.append(
            ratio_row(
                f"PPO iteration, {steps} updates, base chains per {draws}, share {fraction:g}",
                "DPPO + LUMOS",
                theirs,
                seconds,
                bar=3.5 if draws == "row" else 15.0,
                note="the peer's: its rollout and so many times its update, both from the rows above",
            )
        )
    return rows


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks ppo", description=__doc__.splitlines()[0])
    parser.add_argument("--dppo", type=Path, help="folder that holds dppo")
    parser.add_argument("--lumos", type=Path, help="folder that holds lumos")
    parser.add_argument("--extra", type=Path, help="folder with packages that peers import")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--long-turns", type=int, default=2, help="of what takes many seconds")
    parser.add_argument("--same-draws", action="store_true", help="also an iteration with a chain per row")
    parser.add_argument("--skip", nargs="*", default=[], choices=["rollout", "update", "bc", "iteration"])
    parser.add_argument("--save", type=Path, help="folder for the page, docs/results")
    args = parser.parse_args(arguments)
    args.page, args.sizes = FULL, SIZES
    return args


def measure(args: argparse.Namespace) -> list[Row]:
    """All rows whose peers are named."""
    rows: list[Row] = []
    roll_s = update_s = 0.0
    if args.lumos and "rollout" not in args.skip:
        row, _, roll_s = rollout_row(args)
        rows.append(row)
    if "update" not in args.skip:
        rows.append(update_row(args, regularised=False)[0])
    if "bc" not in args.skip:
        row, update_s = update_row(args, regularised=True)
        rows.append(row)
    if roll_s and update_s and "iteration" not in args.skip:
        rows += iteration_rows(args, roll_s, update_s)
    return rows


def main(arguments: list[str]) -> list[Row]:
    """Measure and print."""
    args = parse(arguments)
    if not args.dppo:
        print("name the peer: --dppo DIR, and --lumos DIR for the rollout")
        return []
    torch.set_num_threads(1)
    if args.extra:
        sys.path.insert(0, str(args.extra.resolve()))
    keep_freed_memory()
    rows = measure(args)
    print(table(rows))
    if args.save:
        named = [(name, folder) for name in ("dppo", "lumos") if (folder := getattr(args, name))]
        peers = ", ".join(f"{name} {version_of(folder)}" for name, folder in named)
        page = save(
            rows, args.save, "ppo", "Fine-tuning in imagination against peers", f"{METHOD} Peers: {peers}."
        )
        print(f"written to {page}")
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
