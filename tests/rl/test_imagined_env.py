import pytest
import torch
from gymnasium.vector import VectorEnv

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


def test_five_returns_with_shapes_and_types(world):
    env = make_env(world)
    assert isinstance(env, VectorEnv)
    feat, info = env.reset()
    assert info == {}
    assert feat.shape == env.observation_space.shape == (5, world.feat)
    feat, reward, terminated, truncated, info = env.step(chunks(0.0))
    assert feat.shape == (5, world.feat)
    assert reward.shape == terminated.shape == truncated.shape == (5,)
    assert (terminated.dtype, truncated.dtype, reward.dtype) == (torch.bool, torch.bool, torch.float32)
    assert info["final_obs"].shape == (5, world.feat)


def test_truncated_at_the_last_step_and_not_before(world):
    env = make_env(world)
    env.reset()
    flags = [env.step(chunks(0.0))[3].tolist() for _ in range(8)]
    assert flags == ([[False] * 5] * 3 + [[True] * 5]) * 2


def test_success_terminates_and_never_truncates(world):
    env = make_env(world)
    env.reset(options={"rows": torch.full((5,), 19)})
    outcomes = []
    for _ in range(3):
        _, reward, terminated, truncated, _ = env.step(chunks(1.0))
        outcomes.append((terminated.tolist(), truncated.tolist(), reward.tolist()))
    assert outcomes[1] == ([True] * 5, [False] * 5, [1.0] * 5)
    assert outcomes[2][0] == [False] * 5


def test_success_in_the_last_allowed_decision_is_terminated(world):
    env = make_env(world, imagine_steps=8)
    env.reset(options={"rows": torch.full((5,), 19)})
    env.step(chunks(1.0))
    _, _, terminated, truncated, _ = env.step(chunks(1.0))
    assert terminated.all()
    assert not truncated.any()


def test_ended_environments_restart_and_report_where_they_ended(world):
    env = make_env(world)
    env.reset(options={"rows": torch.tensor([0, 0, 19, 19, 19])})
    env.step(chunks(1.0))
    feat, _, terminated, _, info = env.step(chunks(1.0))
    assert terminated.tolist() == [False, False, True, True, True]
    assert torch.equal(info["_final_obs"], terminated)
    assert (info["final_obs"][terminated, 0] > world.goal).all()
    assert torch.equal(feat[~terminated], info["final_obs"][~terminated])
    assert torch.equal(feat[terminated], world.starts.feat[info["start_row"][terminated]])
    assert (info["start_row"][~terminated] == -1).all()
    for _ in range(2):
        truncated = env.step(chunks(0.0))[3]
    assert truncated.tolist() == [True, True, False, False, False]


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
    assert torch.equal(env._start_feat, world.starts.feat[info["start_row"]])
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
    assert torch.equal(env._start_feat[1], first[1])
    assert not torch.equal(env._start_feat[0], first[0])


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


def test_gripper_at_zero_opens(world):
    env = make_env(world)
    env.reset()
    env.step(chunks(0.0, gripper=0.0))
    assert (world.model.seen[0][:, -1] == 1).all()


def test_steps_that_do_not_fit_name_both(world):
    with pytest.raises(ValueError, match=r"imagine_steps 70 is not a multiple of act_steps 4.*to 68"):
        make_env(world, imagine_steps=70)


def test_misuse_is_named(world):
    env = make_env(world)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(chunks(0.0))
    env.reset()
    with pytest.raises(ValueError, match=r"expected \(5, 4, A\)"):
        env.step(chunks(0.0, envs=4))
    world.starts = world.starts._replace(deter=torch.zeros(20, 3))
    with pytest.raises(ValueError, match=r"features 4 wide.* 5 wide"):
        make_env(world)
    world.starts = world.starts.rows(slice(0, 0))
    with pytest.raises(ValueError, match="no start states"):
        make_env(world)


def test_same_seed_same_episodes(world):
    runs = []
    for _ in range(2):
        env = make_env(world)
        feats = [env.reset(seed=7)[0]] + [env.step(chunks(0.5))[0] for _ in range(9)]
        runs.append(torch.stack(feats))
    assert torch.equal(*runs)


def test_nothing_is_trained_by_imagining(world):
    before = [Checkpoint("x", dict(m.state_dict()), {}).digest for m in (world.model, world.classifier)]
    env = make_env(world)
    feat, _ = env.reset()
    for _ in range(6):
        feat = env.step(chunks(1.0))[0]
    after = [Checkpoint("x", dict(m.state_dict()), {}).digest for m in (world.model, world.classifier)]
    assert before == after
    assert not feat.requires_grad
