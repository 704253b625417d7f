"""What docs/fidelity.md says is so: settings exist, world models differ as printed, numbers follow."""

import re
from pathlib import Path
from typing import Any

import pytest
from test_configuration import ENVIRONMENTS, ROOT, pages_of

from wam.contracts import config_to_dict
from wam.pipelines.page_checks import check_pages
from wam.pipelines.world_model.differences import differing_settings, settings_markdown
from wam.policy.critic import Critic
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.classifier import RewardClassifier
from wam.world_model.model import WorldModel

FIDELITY = (ROOT / "docs/fidelity.md").read_text()
ACTION_COEF = ("world_model.losses.action_coef", 1000.0, 0.0)


def differences(pages: dict[str, Any]) -> list[tuple[Any, ...]]:
    return differing_settings(pages["world_models"], pages["world_model"], pages["world_model_training"])


@pytest.mark.parametrize("environment", [name for name in ENVIRONMENTS if name != "paper"])
def test_world_models_differ_in_the_head_alone(environment: str) -> None:
    assert differences(pages_of(environment)) == [ACTION_COEF]


def test_in_paper_they_differ_as_printed() -> None:
    pages = pages_of("paper")
    table = differences(pages)
    assert table == [
        ACTION_COEF,
        ("world_model.losses.kl_coef", 3.0, 0.3),
        ("world_model_training.batch", 500, 50),
        ("world_model_training.steps", 230_000, 2_000_000),
    ]
    assert settings_markdown(pages["world_models"], table) in FIDELITY


def test_a_row_with_a_setting_that_its_page_has_not_is_named() -> None:
    with pytest.raises(ValueError, match="bacth"):
        check_pages(pages_of("smoke", world_models={"diwa": {"world_model_training": {"bacth": 3}}}))


def test_checkpoints_need_starts_to_be_chosen_on() -> None:
    with pytest.raises(ValueError, match=r"evaluation.checkpoints_on to test"):
        check_pages(pages_of("smoke", selection={"selection_starts": 0}))


def test_what_another_machine_trained_must_be_there_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which holds no world model"):
        check_pages(pages_of("smoke", compute={"remote": str(tmp_path)}))
    (tmp_path / "wam.json").write_text("{}")
    check_pages(pages_of("smoke", compute={"remote": str(tmp_path)}))


def test_every_named_setting_exists() -> None:
    """Settings are written `page.setting`, alone or with the value that the text is about."""
    pages = pages_of("paper")
    tops = "|".join(sorted(pages))
    named = re.findall(rf"`((?:{tops})(?:\.\w+)+)(?:: ([^`]+))?`", FIDELITY)
    assert len(named) > 40
    for name, _ in named:
        lookup(pages, name)


@pytest.mark.parametrize(("environment", "column"), [("base", 3), ("paper", 4)])
def test_what_the_tables_say_is_configured(environment: str, column: int) -> None:
    """A cell that names a setting with a value states what the environment's configuration says."""
    pages = pages_of(environment)
    stated = 0
    for line in FIDELITY.splitlines():
        cells = line.strip().strip("|").split(" | ")
        for name, value in re.findall(r"`([\w.]+): ([^`]+)`", cells[column] if len(cells) == COLUMNS else ""):
            assert str(lookup(pages, name)) == value, line
            stated += 1
    assert stated > 20


COLUMNS = 6


def lookup(pages: dict[str, Any], name: str) -> Any:
    top, *rest = name.split(".")
    found = pages[top]
    found = found if isinstance(found, dict | list | int | str | None) else config_to_dict(found)
    for part in rest:
        found = found if isinstance(found, dict) else config_to_dict(found)
        assert part in found, f"{name}: {part} is none of {sorted(found)}"
        found = found[part]
    return found


@pytest.mark.parametrize("fault", range(1, 19))
def test_every_fault_has_a_row(fault: int) -> None:
    assert re.search(rf"^\| B{fault}\b", FIDELITY, re.MULTILINE)


@pytest.mark.slow
def test_one_setting_says_how_often_a_first_frame_is_seen() -> None:
    for repeats in (1, 4):
        pages = pages_of("paper", evaluation={"start_repeats": repeats})
        assert [pages[name].start_repeats for name in ("features", "rewards", "evaluation")] == [repeats] * 3


def test_the_published_loop_gives_our_counts() -> None:
    """Turns 0 to 800, every 25th only evaluates: trained turns before each evaluation are ours."""
    page = pages_of("paper")["ppo"]
    trained, evaluated = 0, []
    for turn in range(801):
        if turn % 25 == 0:
            evaluated.append(trained)
        else:
            trained += 1
    assert trained == page.iterations == 768
    ours = [n for n in range(page.iterations + 1) if n % page.eval_every == 0 or n == page.iterations]
    assert ours == evaluated
    assert len(ours) == 33


def test_volume_of_ppo_follows() -> None:
    pages = pages_of("paper")
    page, policy = pages["ppo"], pages["policy"]
    decisions = page.decisions(policy.act_steps)
    assert decisions == 36
    assert page.envs * decisions == 1_800
    assert page.envs * decisions * page.ft_denoising_steps == 18_000
    assert page.iterations * page.envs * decisions * policy.act_steps == 5_529_600
    assert page.minibatch_samples > 18_000 // 2, "the whole batch at once"


@pytest.mark.parametrize("path", sorted((ROOT / "conf/paper").glob("parameters*.yml")), ids=lambda p: p.name)
def test_every_published_value_names_its_source(path: Path) -> None:
    unsourced = re.compile(r"ours|last and best|docs/fidelity.md")
    for line in path.read_text().splitlines():
        value, _, comment = line.partition(" #")
        if path.name in OWN_PAGES or not re.search(r": \S", value):
            continue
        if re.search(r": (null|0|3.0e-4|1.0e-6)$", value.rstrip()) and not comment:
            continue  # named by its neighbour: the other unit of length, the rate of a constant schedule
        if re.match(r" +(validate_every|checkpoint_every)", value):
            continue  # when we look, not what is trained
        assert re.search(r"WAM paper|DiWA|not published", comment) or unsourced.search(comment), line


OWN_PAGES = ("parameters.yml", "parameters_reporting.yml", "parameters_diagnostics.yml")


PUBLISHED: dict[str, Any] = {
    "world_model.encoder.cnn_depth": 48,
    "world_model.encoder.measures_colors": False,
    "world_model.rssm.deter": 1024,
    "world_model.rssm.stoch_dim": 32,
    "world_model.rssm.stoch_classes": 32,
    "world_model.rssm.hidden": 1000,
    "world_model.rssm.carries_arm": False,
    "world_model.rssm.carries_outset": False,
    "world_model.rssm.carries_scene": False,
    "world_model.rssm.prior_sees_carried": False,
    "world_model.decoder.corrects_painted_colors": False,
    "ppo.command_response": 1.0,
    "world_model.inverse_dynamics.input": "embed",
    "world_model.inverse_dynamics.error": "l1",
    "world_model.losses.kl_coef": 3.0,
    "world_model.losses.kl_balance": 0.8,
    "world_model.losses.image_coef": 1.0,
    "world_model.losses.proprio_coef": 0.0,
    "world_model_training.steps": 230_000,
    "world_model_training.batch": 500,
    "world_model_training.sequence_steps": 50,
    "world_model_training.decode_fraction": 1.0,
    "world_model_training.reset_probability": 0.01,
    "world_model_training.optimizer.learning_rate": 3e-4,
    "world_model_training.optimizer.schedule": "constant",
    "world_model_training.optimizer.warmup_steps": 0,
    "world_model_training.optimizer.weight_decay": 0.05,
    "world_model_training.optimizer.betas": (0.9, 0.999),
    "world_model_training.optimizer.eps": 1e-5,
    "world_model_training.optimizer.grad_clip_norm": 100.0,
    "open_loop.sequences": 100,
    "open_loop.steps": 50,
    "open_loop.context_frames": 1,
    "selection.demos": 50,
    "policy.hidden": 512,
    "policy.denoising_steps": 20,
    "policy.horizon_steps": 4,
    "policy.act_steps": 4,
    "policy.min_sampling_std": 0.1,
    "policy.final_sampling_std": None,
    "policy.deterministic_std": 1e-3,
    "policy.noise_clip": 3.0,
    "behavior_cloning.epochs": 5000,
    "behavior_cloning.batch": 256,
    "behavior_cloning.ema_decay": 0.995,
    "behavior_cloning.optimizer.learning_rate": 1e-4,
    "behavior_cloning.optimizer.final_learning_rate": 1e-5,
    "behavior_cloning.optimizer.weight_decay": 1e-6,
    "rewards.negatives": 10,
    "rewards.judge": "classifier",
    "classifier.encoder_hidden": 1024,
    "classifier.embed_dim": 256,
    "classifier.head_hidden": 1024,
    "classifier.temperature": 0.5,
    "classifier.cross_entropy_coef": 0.5,
    "classifier_training.epochs": 100,
    "classifier_training.batch": 32,
    "classifier_training.optimizer.learning_rate": 1e-6,
    "imagination_starts.scenes": 200,
    "ppo.envs": 50,
    "ppo.imagine_steps": 72,
    "ppo.actor_learning_rate": 1e-5,
    "ppo.critic_learning_rate": 1e-3,
    "ppo.weight_decay": 0.0,
    "ppo.grad_clip_norm": None,
    "ppo.gamma": 0.999,
    "ppo.gae_lambda": 0.95,
    "ppo.reward_scaling_gamma": 0.99,
    "ppo.reward_clip": 10.0,
    "ppo.update_epochs": 10,
    "ppo.minibatch": 7500,
    "ppo.value_coef": 0.5,
    "ppo.target_kl": 1.0,
    "ppo.ft_denoising_steps": 10,
    "ppo.gamma_denoising": 0.99,
    "ppo.min_logprob_std": 0.1,
    "ppo.logprob_clamp": (-5.0, 2.0),
    "ppo.clip_coef": 0.01,
    "ppo.clip_base": 0.001,
    "ppo.clip_rate": 3.0,
    "ppo.bc_coef": 0.025,
    "evaluation.max_steps": 72,
}
"""As WAM or DiWA published them (docs/published.md), whatever the comment in ``conf/paper`` says."""


def test_published_values_are_in_force() -> None:
    pages = pages_of("paper")
    found = {name: lookup(pages, name) for name in PUBLISHED}
    assert {name: tuple(x) if isinstance(x, list) else x for name, x in found.items()} == PUBLISHED


@pytest.mark.slow
def test_the_configuration_has_the_published_numbers_of_parameters() -> None:
    pages = pages_of("paper")
    page, _ = pages["world_models"]["diwa"].applied(pages["world_model"], pages["world_model_training"])
    model = WorldModel(page)
    policy = DiffusionPolicy(model.feat_dim, pages["policy"])
    critic = Critic(model.feat_dim, pages["ppo"].critic_hidden)
    classifier = RewardClassifier(model.feat_dim, pages["classifier"])
    networks = (model, policy, critic, classifier)
    sizes = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert sizes == [39_901_078, 1_612_364, 656_385, 2_625_794]
