import pytest
import torch
from toy_world import CARRIED, random_batch, tiny_config, tiny_world_model

from wam.nn.distributions import sample_one_hot
from wam.seeding import torch_generator
from wam.world_model.model import WorldModel
from wam.world_model.rssm import Observed
from wam.world_model.state import Carried, RSSMState, joined


def plain_observe(rssm, *frames) -> Observed:
    """The obvious loop: one frame after another, everything inside."""
    embed, prev_action, is_first, state, noise = frames
    feats, posteriors, priors = [], [], []
    for t in range(embed.shape[1]):
        state, logits = rssm.observe_step(embed[:, t], prev_action[:, t], is_first[:, t], state, noise[:, t])
        feats.append(state.feat)
        posteriors.append(logits)
        priors.append(rssm.prior_logits(state.deter, state.carried))
    return Observed(*(torch.stack(x, dim=1) for x in (feats, posteriors, priors)), state)


@pytest.fixture(params=CARRIED.values(), ids=CARRIED)
def model(request):
    model = WorldModel(tiny_config(**request.param), seed=3)
    if model.rssm.arm_motion is not None:
        weight = model.rssm.arm_motion.weight
        weight.copy_(0.1 * torch.randn(weight.shape, generator=torch_generator(9)))
    return model


@pytest.fixture
def frames(model):
    batch = random_batch(3, 6, starts=[(0, 0), (1, 3), (2, 5)])
    embed = torch.randn(3, 6, model.embed_dim, generator=torch_generator(1)).requires_grad_(True)
    noise = model.noise(3, 6, generator=torch_generator(2))
    generator = torch_generator(3)
    deter = torch.randn(3, 12, generator=generator).requires_grad_(True)
    stoch = torch.randn(3, 3, 4, generator=generator).requires_grad_(True)
    arm = outset = scene = None
    if model.config.rssm.carries_arm:
        arm = torch.rand(3, 18, generator=generator).requires_grad_(True)
    if model.rssm.outset_dim:
        outset = torch.rand(3, model.rssm.outset_dim, generator=generator)
        outset[2] = 0.0  # nothing was seen yet
        outset.requires_grad_(True)
    if model.config.rssm.carries_scene:
        scene = torch.rand(3, model.rssm.scene_dim, generator=generator).requires_grad_(True)
    return embed, batch["prev_action"], batch["is_first"], RSSMState(deter, stoch, arm, outset, scene), noise


def gradients(observed, inputs):
    generator = torch_generator(4)
    values = (*observed[:3], *observed.state.tensors.values())
    total = sum((x * torch.randn(x.shape, generator=generator)).sum() for x in values)
    return torch.autograd.grad(total, inputs, allow_unused=True)


def test_observing_t_frames_equals_t_single_steps(model, frames):
    fast, slow = model.rssm.observe(*frames), plain_observe(model.rssm, *frames)
    assert fast.state.tensors.keys() == slow.state.tensors.keys()
    pairs = zip(fast.state.tensors.values(), slow.state.tensors.values(), strict=True)
    for got, want in (*zip(fast[:3], slow[:3], strict=True), *pairs):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_of_the_plain_loop(model, frames):
    embed, _, _, state, _ = frames
    learned = {name: value for name, value in model.rssm.named_parameters() if value.requires_grad}
    inputs = [embed, *state.tensors.values(), *learned.values()]
    fast = gradients(model.rssm.observe(*frames), inputs)
    slow = gradients(plain_observe(model.rssm, *frames), inputs)
    names = ["embed", *state.tensors, *learned]
    for name, got, want in zip(names, fast, slow, strict=True):
        assert (got is None) == (want is None), name
        if got is not None:
            torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_under_autocast_products_alone_are_rounded(model, frames):
    *seen, noise = frames
    decided = 100 * noise  # draws decide which classes are sampled, whatever is rounded
    learned = {name: value for name, value in model.rssm.named_parameters() if value.requires_grad}
    exact = model.rssm.observe(*seen, decided)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.rssm.observe(*seen, decided)
    assert all(x.dtype == torch.float32 for x in (*rounded[:3], *rounded.state.tensors.values()))
    assert not torch.equal(rounded.state.deter, exact.state.deter)
    assert not torch.equal(rounded.state.deter, rounded.state.deter.bfloat16().float())
    assert torch.equal(rounded.state.stoch, exact.state.stoch)
    for got, want in zip(rounded[:3], exact[:3], strict=True):
        assert (got - want).norm() / want.norm() < 0.01
    pairs = zip(*(gradients(each, list(learned.values())) for each in (rounded, exact)), strict=True)
    for name, (got, want) in zip(learned, pairs, strict=True):
        if want is not None and want.norm() > 0:
            assert got.dtype == torch.float32
            assert (got - want).norm() / want.norm() < 0.03, name


def test_nothing_before_an_episode_start_changes_what_comes_after(model, frames):
    embed, prev_action, _, state, noise = frames
    is_first = torch.zeros(3, 6, dtype=torch.bool)
    is_first[:, 3] = True
    one = model.rssm.observe(embed, prev_action, is_first, state, noise)
    changed = embed.detach().clone()
    changed[:, :3] += 1.0
    other_state = state.map(lambda x: x + 1.0)
    two = model.rssm.observe(changed, prev_action, is_first, other_state, noise)
    assert not torch.equal(one.feat[:, :3], two.feat[:, :3])
    assert torch.equal(one.feat[:, 3:], two.feat[:, 3:])


def test_windows_with_carried_state_equal_one_long_window(model, frames):
    embed, prev_action, is_first, state, noise = frames
    whole = model.rssm.observe(*frames)
    first = model.rssm.observe(embed[:, :2], prev_action[:, :2], is_first[:, :2], state, noise[:, :2])
    second = model.rssm.observe(
        embed[:, 2:], prev_action[:, 2:], is_first[:, 2:], first.state.detach(), noise[:, 2:]
    )
    torch.testing.assert_close(torch.cat([first.feat, second.feat], dim=1), whole.feat)


def test_imagining_recorded_actions_is_the_rollout_of_the_prior(model, frames):
    _, prev_action, _, state, noise = frames
    imagined = state
    for t in range(3):
        deter = model.rssm.deter_step(imagined, prev_action[:, t])
        after = model.rssm.moved(imagined, prev_action[:, t])
        stoch = sample_one_hot(model.rssm.prior_logits(deter, after.carried), noise[:, t])
        want = after._replace(deter=deter, stoch=stoch)
        imagined = model.rssm.imagine_step(imagined, prev_action[:, t], noise[:, t])
        assert torch.equal(imagined.feat, want.feat)


def test_the_prior_hangs_on_what_is_carried_where_it_is_shown_it(model, frames):
    state, size = frames[3], model.config.rssm
    if state.scene is None:
        assert torch.equal(*(model.rssm.prior_logits(state.deter, x) for x in (state.carried, Carried())))
        return
    seen = model.rssm.prior_logits(state.deter, state.carried)
    for name, value in state.carried._asdict().items():
        other = state.carried._replace(**{name: value + 0.1})
        hangs = not torch.equal(model.rssm.prior_logits(state.deter, other), seen)
        assert hangs == size.prior_sees_carried, name


def test_the_prior_and_the_posterior_share_the_deterministic_step(model, frames):
    embed, prev_action, _, state, noise = frames
    first = torch.zeros(3, dtype=torch.bool)
    observed, _ = model.rssm.observe_step(embed[:, 0], prev_action[:, 0], first, state, noise[:, 0])
    imagined = model.rssm.imagine_step(state, prev_action[:, 0], noise[:, 0])
    assert torch.equal(observed.deter, imagined.deter)


@pytest.mark.parametrize(("carried", "width"), [("published", 24), ("carries_arm", 42), ("carries_all", 192)])
def test_states_are_one_hot_and_make_features_and_back(carried, width):
    model = tiny_world_model(**CARRIED[carried])
    state = model.initial_state(5)
    state = state if state.outset is None else state._replace(outset=torch.rand(5, model.rssm.outset_dim))
    state = model.imagine_step(state, torch.zeros(5, 7), torch_generator(0))
    assert (state.stoch.sum(dim=-1) == 1).all()
    assert state.feat.shape == (5, model.feat_dim) == (5, width)
    back = model.state_from_feat(state.feat).tensors
    assert back.keys() == state.tensors.keys()
    assert all(torch.equal(back[name], value) for name, value in state.tensors.items())


@pytest.mark.parametrize("arm", [None, torch.ones(2, 4)], ids=["published", "carries_arm"])
def test_what_is_done_to_rows_is_done_to_every_part(arm):
    ones = RSSMState(torch.ones(2, 3), torch.ones(2, 1, 2), arm)
    width = 5 if arm is None else 9
    state = ones.masked(torch.tensor([1, 0]))
    assert state.feat.sum(dim=1).tolist() == [width, 0]
    assert state.rows(slice(1, 2)).feat.shape == (1, width)
    twos = ones.map(lambda x: 2 * x)
    assert ones.where(torch.tensor([True, False]), twos).feat.sum(dim=1).tolist() == [width, 2 * width]
    replaced = ones.replaced(torch.tensor([1]), twos.rows(slice(0, 1)))
    assert replaced.feat.sum(dim=1).tolist() == [width, 2 * width]
    assert joined([ones, twos]).feat.sum(dim=1).tolist() == [width, width, 2 * width, 2 * width]


def test_the_arm_is_measured_on_frames_and_moved_by_actions_in_imagination():
    """It is the end of the embedding, whatever came before; imagined, it does not depend on h and z."""
    model = tiny_world_model(carries_arm=True)
    embed = torch.randn(2, model.embed_dim)
    before = model.imagine_step(model.initial_state(2), torch.zeros(2, 7), torch_generator(0))
    going_on, noise = torch.zeros(2, dtype=torch.bool), model.noise(2, generator=torch_generator(1))
    seen, _ = model.rssm.observe_step(embed, torch.zeros(2, 7), going_on, before, noise)
    assert torch.equal(seen.arm, embed[:, -18:])
    model.rssm.arm_motion.weight[1] = 0.25  # of the first action component
    action = torch.zeros(2, 7)
    action[:, 0] = torch.tensor([1.0, -4.0])
    inside = seen._replace(arm=torch.full((2, 18), 0.5))
    after = model.imagine_step(inside, action, torch_generator(2))
    assert after.arm.tolist() == [[0.75] * 18, [0.0] * 18]  # the second is stopped where no arm was seen
    assert torch.equal(after.arm, model.imagine_step(inside, action, torch_generator(3)).arm)


def test_a_state_without_the_arm_is_refused_by_a_model_that_carries_it():
    model = tiny_world_model(carries_arm=True)
    whole = model.imagine_step(model.initial_state(2), torch.zeros(2, 7), torch_generator(0))
    bare = whole._replace(arm=None)
    embed, going_on = torch.randn(2, 1, model.embed_dim), torch.zeros(2, 1, dtype=torch.bool)
    noise = model.noise(2, 1, generator=torch_generator(1))
    with pytest.raises(ValueError, match="the state has none"):
        model.imagine_step(bare, torch.zeros(2, 7), torch_generator(1))
    with pytest.raises(ValueError, match="the state has none"):
        model.rssm.observe(embed, torch.zeros(2, 1, 7), going_on, bare, noise)
    with pytest.raises(ValueError, match="deter, stoch, arm does not go with one of deter, stoch"):
        whole.where(torch.tensor([True, False]), bare)


def test_the_outset_is_the_first_frame_since_the_state_was_dropped():
    """It stays through later frames and imagination; an episode's start, or a state dropped, begins anew."""
    model = tiny_world_model(**CARRIED["carries_places"])
    embed = torch.randn(2, 5, model.embed_dim)
    colors = embed[..., model.encoder.image_dim : -18]
    is_first, action = torch.zeros(2, 5, dtype=torch.bool), torch.zeros(2, 5, 7)
    is_first[1, 3] = True
    noise = model.noise(2, 5, generator=torch_generator(1))
    seen = model.rssm.observe(embed, action, is_first, model.initial_state(2), noise)
    outset = seen.feat[..., -18 - model.rssm.outset_dim : -18]
    began = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 3, 3]])
    for stream in range(2):
        assert torch.equal(outset[stream], colors[stream, began[stream]])
    assert torch.equal(seen.state.outset, torch.stack((colors[0, 0], colors[1, 3])))
    later = model.imagine_step(seen.state, action[:, 0], torch_generator(2))
    assert torch.equal(later.outset, seen.state.outset)
    dropped = later.masked(torch.tensor([True, False]))
    again, _ = model.rssm.observe_step(embed[:, 1], action[:, 1], is_first[:, 1], dropped, noise[:, 1])
    assert torch.equal(again.outset, torch.stack((colors[0, 0], colors[1, 1])))


def test_the_outset_shapes_what_is_imagined_and_is_asked_for():
    model = tiny_world_model(**CARRIED["carries_all"])
    state = model.initial_state(4)._replace(outset=torch.ones(4, model.rssm.outset_dim))
    other = state._replace(outset=-2 * state.outset)
    here, there = (model.imagine_step(x, torch.zeros(4, 7), torch_generator(1)) for x in (state, other))
    assert not torch.allclose(here.deter, there.deter)
    with pytest.raises(ValueError, match=r"carries the outset .* the state has none"):
        model.imagine_step(state._replace(outset=None), torch.zeros(4, 7), torch_generator(1))


def test_colours_that_no_frame_has_are_not_carried():
    with pytest.raises(ValueError, match=r"carries_outset is true and .*measures_colors is false"):
        tiny_config(carries_outset=True)


def test_the_arm_shapes_what_is_imagined():
    model = tiny_world_model(carries_arm=True)
    state = model.imagine_step(model.initial_state(4), torch.zeros(4, 7), torch_generator(0))
    elsewhere = state._replace(arm=state.arm + 0.3)
    here, there = (model.imagine_step(x, torch.zeros(4, 7), torch_generator(1)) for x in (state, elsewhere))
    assert not torch.allclose(here.deter, there.deter)
