import pytest
import torch

from wam.rl.imagined_env import ImaginedEnv
from wam.training.checkpoint import Checkpoint


def make_env(world, **changes):
    page = {"num_envs": 5, "imagine_steps": 16, "act_steps": 4, "generator": torch.Generator().manual_seed(0)}
    return ImaginedEnv(world.model, world.classifier, world.starts, **(page | changes))


def chunks(value: float, envs: int = 5, gripper: float = 1.0) -> torch.Tensor:
    action = torch.zeros(envs, 4, 7)
    action[..., 0] = value
    action[..., -1] = gripper
    return action


def test_ended_environments_restart_at_the_start_state_they_report(world):
    env = make_env(world)
    env.reset(options={"rows": torch.tensor([0, 0, 19, 19, 19])})
    env.step(chunks(1.0))
    feat, _, terminated, _, info = env.step(chunks(1.0))
    assert terminated.tolist() == [False, False, True, True, True]
    assert (info["final_obs"][terminated, 0] > world.goal).all()
    assert torch.equal(feat[terminated], world.starts.feat[info["start_row"][terminated]])


def test_success_is_judged_beside_the_start_of_the_running_episode(world):
    world.classifier = world.relative_classifier
    env = make_env(world, num_envs=2, imagine_steps=12)
    env.reset(options={"rows": torch.tensor([0, 19])})
    outcomes = [env.step(chunks(1.0, envs=2)) for _ in range(3)]
    # From -0.2 and from 0.2 alike, ten steps of 0.1 pass 0.9; the place alone would do for the second sooner.
    assert [row[2].tolist() for row in outcomes] == [[False] * 2, [False] * 2, [True] * 2]


def test_a_restarted_environment_is_judged_by_its_new_start(world):
    world.classifier = world.relative_classifier
    env = make_env(world, num_envs=2, imagine_steps=12)
    env.reset(options={"rows": torch.tensor([0, 19])})
    env.step(chunks(1.0, envs=2))
    stay = chunks(1.0, envs=2)
    stay[1] = 0.0
    env.step(stay)
    feat, _, terminated, truncated, info = env.step(stay)
    assert (terminated.tolist(), truncated.tolist()) == ([True, False], [False, True])
    begun = feat[:, 0].clone()
    assert torch.equal(env.start_feat, world.starts.feat[info["start_row"]])
    for expected in (False, False, True):
        _, _, terminated, _, info = env.step(chunks(1.0, envs=2))
        assert terminated.tolist() == [expected] * 2
    assert (info["final_obs"][:, 0] - begun > world.goal).all()


def test_environments_that_go_on_keep_their_start(world):
    world.classifier = world.relative_classifier
    env = make_env(world, num_envs=2, imagine_steps=16)
    first, _ = env.reset(options={"rows": torch.tensor([0, 19])})
    pushed = chunks(1.0, envs=2)
    pushed[1] = 0.0
    ended = [env.step(pushed)[4]["_final_obs"].tolist() for _ in range(3)]
    assert ended[-1] == [True, False]
    assert torch.equal(env.start_feat[1], first[1])
    assert not torch.equal(env.start_feat[0], first[0])


@pytest.mark.parametrize(("reward_steps", "found"), [("every", True), ("last", False)])
def test_brief_success_inside_a_chunk(world, reward_steps, found):
    env = make_env(world, reward_steps=reward_steps, clip_action=False)
    env.reset(options={"rows": torch.full((5,), 10)})
    there_and_back = chunks(0.0)
    there_and_back[:, 1, 0], there_and_back[:, 2, 0] = 15.0, -15.0
    assert env.step(there_and_back)[2].all() == found


@pytest.mark.parametrize(
    ("settings", "sent"),
    [({}, (1.0, -1.0)), ({"binarize_gripper": False}, (1.0, -0.3)), ({"clip_action": False}, (1.2, -1.0))],
)
def test_actions_as_the_world_model_gets_them(world, settings, sent):
    env = make_env(world, **settings)
    env.reset()
    action = chunks(1.2, gripper=-0.3)
    before = action.clone()
    env.step(action)
    assert world.model.seen[0][0, [0, -1]].tolist() == pytest.approx(sent)
    assert torch.equal(action, before)


def test_motions_lag_behind_commands_and_catch_up_with_them(world):
    """As an arm does that goes half of the way to its target in a step; a restart owes nothing."""
    env = make_env(world, num_envs=2, imagine_steps=8, command_response=0.5)
    env.reset(options={"rows": torch.tensor([0, 19])})
    command = chunks(0.0, envs=2)
    command[:, :2] = 0.8
    env.step(command)
    motions = torch.stack([action[0, 0] for action in world.model.seen])
    torch.testing.assert_close(motions, torch.tensor([0.4, 0.6, 0.3, 0.15]))
    assert world.model.seen[0][0, -1] == 1, "the gripper does not lag"
    env.step(chunks(0.0, envs=2))
    assert float(world.model.seen[-1][0, 0]) > 0, "what is owed is carried on"
    env.step(chunks(0.0, envs=2))
    assert world.model.seen[-1][:, :-1].abs().max() == 0, "truncated, and begun anew"


def test_gripper_at_zero_opens(world):
    env = make_env(world)
    env.reset()
    env.step(chunks(0.0, gripper=0.0))
    assert (world.model.seen[0][:, -1] == 1).all()


def test_misuse_is_named(world):
    world.starts = world.starts._replace(deter=torch.zeros(20, 3))
    with pytest.raises(ValueError, match=r"features 4 wide.* 5 wide"):
        make_env(world)
    world.starts = world.starts.rows(slice(0, 0))
    with pytest.raises(ValueError, match="no start states"):
        make_env(world)


def test_nothing_is_trained_by_imagining(world):
    before = [Checkpoint("x", dict(m.state_dict()), {}).digest for m in (world.model, world.classifier)]
    env = make_env(world)
    feat, _ = env.reset()
    for _ in range(6):
        feat = env.step(chunks(1.0))[0]
    after = [Checkpoint("x", dict(m.state_dict()), {}).digest for m in (world.model, world.classifier)]
    assert before == after
    assert not feat.requires_grad
