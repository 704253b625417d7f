"""Published equations and procedures against slow references that are written from their formulas."""

import math

import numpy as np
import pytest
import torch
from toy_world import tiny_config, tiny_training, toy_episodes

from wam.contracts import config_with
from wam.demonstrations.balance import balanced_rows
from wam.demonstrations.replay_labels import paired
from wam.episodes.published_streams import PublishedStreams
from wam.nn.distributions import balanced_kl
from wam.nn.linear_init import fan_in_uniform_
from wam.policy.cloning import CloningObjective, _averaging, _rate, chunks_from_episodes, clone_policy
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig
from wam.reward.losses import supervised_contrastive
from wam.rl.config import PPOConfig
from wam.rl.imagined_practice import Imagination
from wam.rl.update import make_learner
from wam.training.config import OptimizerConfig
from wam.training.ema import Averaging
from wam.training.loop import train
from wam.training.optim import cycle_rate_at, learning_rate_at
from wam.world_model.losses import image_loss
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState
from wam.world_model.train import WorldModelObjective


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_reconstruction_is_half_the_squares_of_24576_values() -> None:
    predicted, target = (tuple(numbers(3, 3, 64, 64, seed=s) for s in pair) for pair in ((0, 1), (2, 3)))
    total = 0.0
    for frame in range(3):
        squares = [
            (x - y) ** 2
            for ours, theirs in zip(predicted, target, strict=True)
            for x, y in zip(ours[frame].flatten().tolist(), theirs[frame].flatten().tolist(), strict=True)
        ]
        assert len(squares) == 24_576
        total += 0.5 * math.fsum(squares)
    assert image_loss(predicted, target).item() == pytest.approx(total / 3, rel=1e-9)


def test_balanced_kl_without_free_nats() -> None:
    posterior, prior = numbers(4, 5, 3), numbers(4, 5, 3, seed=1)
    for row, value in enumerate(balanced_kl(posterior, prior, 0.8).tolist()):
        total = 0.0
        for place in range(5):
            q = [math.exp(x) for x in posterior[row, place].tolist()]
            p = [math.exp(x) for x in prior[row, place].tolist()]
            total += math.fsum(
                a / sum(q) * (math.log(a / sum(q)) - math.log(b / sum(p))) for a, b in zip(q, p, strict=True)
            )
        assert value == pytest.approx(0.8 * total + 0.2 * total, rel=1e-9)
    tiny = numbers(2, 5, 3)
    assert (balanced_kl(tiny, tiny + 1e-4 * numbers(2, 5, 3, seed=2), 0.8) < 1e-6).all(), "no floor below it"


def test_four_fifths_of_the_kl_train_the_prior() -> None:
    posterior, prior = (numbers(2, 4, 3, seed=s).requires_grad_() for s in (0, 1))
    q, p = posterior.detach().softmax(-1), prior.detach().softmax(-1)
    (to_prior,) = torch.autograd.grad(balanced_kl(posterior, prior, 0.8).sum(), prior, retain_graph=True)
    torch.testing.assert_close(to_prior, 0.8 * (p - q))
    (to_posterior,) = torch.autograd.grad(balanced_kl(posterior, prior, 0.8).sum(), posterior)
    ratio = q.log() - p.log()
    torch.testing.assert_close(to_posterior, 0.2 * q * (ratio - (q * ratio).sum(-1, keepdim=True)))


def test_step_size_of_cloning_in_the_papers_reading() -> None:
    page = OptimizerConfig(learning_rate=1e-4, final_learning_rate=1e-5, schedule="cosine")
    steps = 57
    for step in range(steps):
        expected = 1e-5 + 9e-5 * (1 + math.cos(math.pi * step / (steps - 1))) / 2
        assert learning_rate_at(page, step, steps) == pytest.approx(expected)


def test_step_size_of_cloning_in_the_codes_reading() -> None:
    rates = [cycle_rate_at(e, peak=1e-4, floor=1e-5, warmup=100, cycle=10_000) for e in range(5_000)]
    assert rates[0] == 1e-5
    assert rates[50] == pytest.approx(5.5e-5)
    assert max(rates) == rates[100] == pytest.approx(1e-4)
    assert rates[4_999] == pytest.approx(5.57e-5, rel=1e-3)
    for epoch in (1_000, 3_333):
        expected = 1e-5 + 9e-5 * (1 + math.cos(math.pi * (epoch - 100) / 9_900)) / 2
        assert rates[epoch] == pytest.approx(expected)
    with pytest.raises(ValueError, match="first cycle"):
        cycle_rate_at(10_000, peak=1e-4, floor=1e-5, warmup=100, cycle=10_000)


CODE = {"batch": 8, "epochs": 30, "cadence": "published"}


def test_the_codes_cadence_moves_by_epochs() -> None:
    page = CloningConfig(optimizer=OptimizerConfig(learning_rate=1e-4, final_learning_rate=1e-5), **CODE)
    averaging, rate = _averaging(page, 11), _rate(page, 11)
    assert averaging == Averaging(0.995, every=110, start=220)
    assert rate is not None
    assert rate(0) == rate(10) < rate(11) == rate(21)
    with pytest.raises(ValueError, match="needs epochs"):
        CloningConfig(optimizer=page.optimizer, batch=8, steps=10, cadence="published")


def test_cloning_runs_in_the_codes_cadence() -> None:
    rng = np.random.default_rng(0)
    cond, action = rng.normal(size=(40, 5)).astype(np.float32), rng.uniform(-1, 1, (40, 7)).astype(np.float32)
    segment, step = np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4)
    chunks = chunks_from_episodes(cond, action, segment, step, horizon_steps=4)
    page = CloningConfig(optimizer=OptimizerConfig(learning_rate=1e-3, final_learning_rate=1e-4), **CODE)
    result = clone_policy(chunks, DiffusionConfig(hidden=8, standardize_condition=False), page, seed=0)
    history = result.training.history
    assert history[-1]["step"] == 30 * 4
    warming = [1e-4 + 9e-4 * epoch / 100 for epoch in range(30) for _ in range(4)]
    assert history[-1]["learning_rate"] == pytest.approx(np.mean(warming[-(len(warming) % 50) :]), rel=1e-5)


def test_gradients_are_cut_at_the_scaled_limit() -> None:
    page = OptimizerConfig(learning_rate=1.0, grad_clip_norm=100.0, clip_loss_scale=65_536.0)
    assert page.clip_limit == 100 / 65_536
    assert OptimizerConfig(learning_rate=1.0).clip_limit == math.inf


def test_minibatches_in_both_units() -> None:
    common = {"iterations": 1, "envs": 50, "episodes_per_iteration": 2, "eval_every": 1, "critic_hidden": 8}
    assert PPOConfig(**common).minibatch_samples == 7_500
    assert PPOConfig(**common, minibatch_of="decisions").minibatch_samples == 75_000


def reference_streams(
    lengths: list[int], batch: int, steps: int, offsets: list[int]
) -> list[list[list[int]]]:
    """Rows of every step of one pass after the other, as the public sampler is described."""
    first, starts = 0, []
    for length in lengths:
        last = first + length - 1
        starts += list(range(first, last + 1 - steps))
        first = last + 1
    chunk = math.ceil(len(starts) / batch)
    passes = []
    for offset in offsets:
        for i in range(math.ceil(chunk / steps)):
            entries = [(offset + i * steps + j * chunk) % len(starts) for j in range(batch)]
            passes.append([[starts[entry] + t for t in range(steps)] for entry in entries])
    return passes


def test_published_streams_against_the_reference() -> None:
    lengths = [23, 9, 31]
    start = np.cumsum([0, *lengths[:-1]])
    streams = PublishedStreams(start, np.array(lengths), batch=4, sequence_steps=5, seed=3)
    assert streams.windows == sum(length - 5 for length in lengths)
    per_pass = streams.steps_per_pass
    found = [streams.rows(step) for step in range(2 * per_pass)]
    entry_of = {int(row): place for place, row in enumerate(streams._first)}
    offsets = [entry_of[int(found[number * per_pass][0][0, 0])] for number in range(2)]
    assert [rows.tolist() for rows, _ in found] == reference_streams(lengths, 4, 5, offsets)
    assert [new.any() for _, new in found] == [step % per_pass == 0 for step in range(2 * per_pass)]
    lasts = np.cumsum(lengths) - 1
    assert not np.isin(np.concatenate([rows for rows, _ in found]), lasts).any(), "B3"
    with pytest.raises(ValueError, match="no episode is longer"):
        PublishedStreams(start, np.array(lengths), batch=4, sequence_steps=40, seed=3)


@pytest.mark.slow
def test_published_streams_let_the_state_through_the_end_of_an_episode() -> None:
    episodes = toy_episodes()
    carried = {}
    for streams in ("episodes", "published"):
        page = tiny_training(streams=streams, sequence_steps=8)
        objective = WorldModelObjective(WorldModel(tiny_config(), seed=2), episodes, page, seed=5)
        leaks = 0
        last = np.full(page.batch, -1)
        for step in range(12):
            rows, new = objective._sampler.rows(step)
            leaks += int(((episodes.episode_of(rows[:, 0]) != last) & ~new).sum())
            last = episodes.episode_of(rows[:, -1])
            objective.loss(step)
        carried[streams] = leaks
    assert carried["episodes"] == 0
    assert carried["published"] > 0


def test_published_labels_come_one_frame_early() -> None:
    labels = np.array([False, False, True, True])  # of the scenes at frames 0, 1, 2 and after the last action
    assert paired(labels, 3, "described").tolist() == [False, False, True]
    assert paired(labels, 3, "published").tolist() == [False, True, True]
    assert paired(labels[:3], 3, "published").tolist() == [False, True, True], "recorded scenes end earlier"


def test_published_balance_takes_places_among_negatives_for_frames() -> None:
    early = np.array([True, True, False, False, False])  # a success that is lost again
    late = np.array([False, False, False, False, True])
    few = np.array([False, True, True, True, True])
    label = np.concatenate([early, late, few])
    episode = np.repeat([0, 1, 2], 5)
    rows = balanced_rows(episode, label, rng=np.random.default_rng(0), negatives=3, balance="published")
    assert [row for row in rows.tolist() if row < 5] == [0, 0, 1, 1, 2], "places 0 to 2: two are successes"
    drawn = [row for row in rows.tolist() if 5 <= row < 9]
    assert len(drawn) == 3
    assert [row for row in rows.tolist() if row >= 10] == [11, 12, 13, 14], "too few negatives: none"


def test_the_contrastive_term_by_hand() -> None:
    embed, label = numbers(6, 4), torch.tensor([1, 1, 0, 1, 0, 0])
    unit = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in embed.tolist()]
    total = 0.0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        score = {j: sum(a * b for a, b in zip(unit[i], unit[j], strict=True)) / 0.5 for j in range(6)}
        normal = math.log(sum(math.exp(score[j]) for j in others))
        mine = [j for j in range(6) if label[j] == label[i]]  # itself among them, as published
        total += -sum(score[j] - normal for j in mine) / len(mine)
    assert supervised_contrastive(embed, label, 0.5).item() == pytest.approx(total / 6, rel=1e-6)


def fit(action_coef: float, **overrides: object) -> WorldModel:
    """A few training steps with DiWA's settings, head or not."""
    config = config_with(tiny_config(action_coef=action_coef), {"losses": {"kl_coef": 0.3}, **overrides})
    page = tiny_training(streams="published", reset_probability=0.01, decode_fraction=1.0)
    model = WorldModel(config, seed=7)
    objective = WorldModelObjective(model, toy_episodes(), page, seed=7)
    train(objective, steps=6, optimizer=page.optimizer, description="wm")
    return model


@pytest.mark.slow
def test_without_action_coef_it_is_diwa_to_the_bit() -> None:
    """Whatever the head's page says, at 0 the weights after training are those of a model without one."""
    diwa = fit(0.0)
    other = fit(0.0, inverse_dynamics={"hidden": [3], "reduction": "sum", "input": "image"})
    assert diwa.inverse_dynamics is None
    assert diwa.to_checkpoint().weights.keys() == other.to_checkpoint().weights.keys()
    for name, value in diwa.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    wam = fit(10.0)
    assert not torch.equal(wam.encoder.fusion.weight, diwa.encoder.fusion.weight), "the head does train"


def test_wam_and_diwa_begin_and_read_alike() -> None:
    """One seed: equal weights, batches, noise and dropped states, step after step."""
    page = tiny_training(reset_probability=0.1)
    wam, diwa = (WorldModel(tiny_config(action_coef=coef), seed=4) for coef in (10.0, 0.0))
    for name, value in diwa.named_parameters():
        assert torch.equal(value, wam.get_parameter(name)), name
    objectives = [WorldModelObjective(model, toy_episodes(), page, seed=9) for model in (wam, diwa)]
    for step in range(4):
        ours, theirs = (objective._sampler.rows(step)[0] for objective in objectives)
        assert np.array_equal(ours, theirs)
        one, two = (objective.loss(step).metrics for objective in objectives)
        assert torch.equal(one["kl_loss"], two["kl_loss"])
        assert torch.equal(one["image_loss"], two["image_loss"])


def test_policies_and_imagination_begin_alike_on_other_features() -> None:
    """Features never reach what is drawn: initial weights, batches, critics, starts of imagination."""
    rng = np.random.default_rng(0)
    segment, step = np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4)
    action = rng.uniform(-1, 1, (40, 7)).astype(np.float32)
    seen: list[dict[str, object]] = []
    for scale in (1.0, 3.0):  # two world models' features of the same frames
        cond = (scale * rng.normal(size=(40, 5))).astype(np.float32)
        chunks = chunks_from_episodes(cond, action, segment, step, horizon_steps=4)
        policy = DiffusionPolicy(5, DiffusionConfig(hidden=8, standardize_condition=False))
        fan_in_uniform_(policy, 3)
        objective = CloningObjective(policy, chunks, batch=6, seed=3)
        page = PPOConfig(iterations=1, envs=6, episodes_per_iteration=1, eval_every=1, critic_hidden=8)
        learner = make_learner(policy, page, 3)
        starts = RSSMState(torch.randn(9, 3), torch.randn(9, 1, 2))
        practice = Imagination(_Still(), _classifier(), starts, policy.sees)
        env = practice.environment(page, policy.config.act_steps, seed=3, iteration=1)
        rows = env._draw(6)
        batches = [objective.passes.rows(n).tolist() for n in range(4)]
        weights = [p.tolist() for net in (policy, learner.critic) for p in net.parameters()]
        seen.append({"batches": batches, "weights": weights, "starts": rows.tolist()})
    assert seen[0] == seen[1]


class _Still:
    """A world in which nothing happens."""

    def imagine_step(self, state: RSSMState, action: torch.Tensor, generator: torch.Generator) -> RSSMState:
        del action, generator
        return state


def _classifier() -> RewardClassifier:
    page = ClassifierConfig(encoder_hidden=4, embed_dim=4, head_hidden=4, sees_start=False, standardize=False)
    return RewardClassifier(5, page)
