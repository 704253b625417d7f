"""LPIPS and FVD with weight files of the right names and shapes and random values, and their arithmetic."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toy_world import tiny_world_model, toy_episodes

from wam.evaluation.i3d import I3D, Unit3D
from wam.evaluation.lpips import CHANNELS, AlexNetFeatures, Lpips
from wam.evaluation.open_loop import open_loop_quality
from wam.evaluation.perceptual import PerceptualConfig, PerceptualScores, frechet_distance
from wam.evaluation.weight_files import WeightFile, WeightFileError, load_weights, sha256_of

LPIPS_HEADS = "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"
"""Digest of LPIPS 0.1's linear layers for AlexNet, which TorchMetrics brings along."""


def saved(path, weights) -> WeightFile:
    weights = {name: value.contiguous() for name, value in weights.items()}
    torch.save(weights, path) if path.suffix == ".pth" else save_file(weights, path)
    return WeightFile(path=str(path), sha256=sha256_of(path)[:8])


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    network = AlexNetFeatures().state_dict() | {"classifier.1.weight": torch.zeros(2)}
    heads = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate(CHANNELS)}
    return saved(folder / "alexnet.pth", network), saved(folder / "heads.safetensors", heads)


def images(count, seed):
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_alexnet_is_named_and_sized_as_torchvisions():
    shapes = {name: tuple(value.shape) for name, value in AlexNetFeatures().state_dict().items()}
    assert shapes["features.0.weight"] == (64, 3, 11, 11)
    assert shapes["features.10.bias"] == (256,)
    assert sum(np.prod(shape) for shape in shapes.values()) == 2_469_696


def test_lpips_by_hand(alexnet):
    measure = Lpips(*alexnet)
    one, other = images(2, 1), images(2, 2)
    assert measure(one, one).abs().max() == 0
    network, heads = AlexNetFeatures(), load_weights(alexnet[1])
    network.load_state_dict({k: v for k, v in load_weights(alexnet[0]).items() if "features" in k})
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    total = 0.0
    x, y = (((image[0] + 1) / 2 - mean[:, None, None]) / deviation[:, None, None] for image in (one, other))
    layer = 0
    for index, module in enumerate(network.features):
        x, y = module(x), module(y)
        if index in (1, 4, 7, 9, 11):
            a, b = (z / z.norm(dim=0, keepdim=True) for z in (x, y))
            weight = heads[f"lin{layer}.model.1.weight"].flatten()
            total += ((a - b) ** 2 * weight[:, None, None]).sum(dim=0).mean().item()
            layer += 1
    assert measure(one, other)[0].item() == pytest.approx(total, rel=0.01)  # shift and scale have 3 digits


def test_frechet_distance_of_known_gaussians():
    rng = np.random.default_rng(0)
    one = rng.normal(0, 1, (50_000, 2))
    other = rng.normal([3, 0], [2, 1], (50_000, 2))
    assert frechet_distance(one, other) == pytest.approx(9 + 1, rel=0.03)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    few = rng.normal(size=(5, 40))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-4), "fewer samples than features"


def test_padding_is_tensorflows():
    unit = Unit3D(1, 1, (3, 3, 3), 2, last=True)
    assert unit(torch.zeros(1, 1, 9, 8, 7)).shape[2:] == (5, 4, 4)


@pytest.mark.slow
def test_i3d_is_named_and_sized_as_the_conversion_of_deepminds():
    network = I3D()
    names = set(network.state_dict())
    assert {"Conv3d_1a_7x7.conv3d.weight", "Mixed_4d.b2b.bn.running_var", "logits.conv3d.bias"} <= names
    assert not any(name.startswith("Conv3d") and name.endswith("conv3d.bias") for name in names)
    assert sum(p.numel() for p in network.parameters()) == 12_697_264
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 3, 9, 64, 64)).shape == (1, 400)
    with pytest.raises(ValueError, match="9 frames or more, got 8"):
        network(torch.zeros(1, 3, 8, 64, 64))


def chirp(shape, phase):
    """Numbers in [-1, 1] without a random generator, the same everywhere."""
    place = torch.arange(math.prod(shape), dtype=torch.float64) % 9973
    return torch.sin(0.01 * place * place + phase).float().reshape(shape)


@pytest.mark.slow
@torch.no_grad()
def test_i3d_gives_the_logits_of_the_public_conversion():
    """Logits of ``InceptionI3d`` in ``piergiaj/pytorch-i3d``, whose tensors have our names, filled the same.

    They were computed there once; compute them again should weights or video here ever be filled otherwise.
    """
    network = I3D().eval()
    state = network.state_dict()
    for index, name in enumerate(sorted(name for name in state if state[name].is_floating_point())):
        values = chirp(state[name].shape, index)
        if name.endswith("conv3d.weight"):
            values = values * 2 / math.sqrt(values[0].numel())
        elif name.endswith(("bn.weight", "running_var")):
            values = 1 + values / 2
        else:
            values = values / 10
        state[name].copy_(values)
    logits = network(chirp((1, 3, 9, 224, 224), 0))[0]
    first = [-6.930642, 1.752760, -9.853283, -1.627270, 1.362651, -4.515625]
    torch.testing.assert_close(logits[:6], torch.tensor(first), rtol=0, atol=0.01)
    assert logits.mean().item() == pytest.approx(-2.430424, abs=0.01)
    assert logits.std().item() == pytest.approx(7.491441, abs=0.01)
    assert logits.argmax() == 291


def test_files_that_are_not_what_they_should_be(alexnet, tmp_path):
    network, heads = alexnet
    with pytest.raises(WeightFileError, match="does not exist"):
        load_weights(WeightFile(path=str(tmp_path / "none.pth"), sha256="0" * 8))
    with pytest.raises(WeightFileError, match="expected 00000000"):
        load_weights(WeightFile(path=network.path, sha256="0" * 8))
    with pytest.raises(
        WeightFileError, match=r"features.0.weight is nothing, expected shape \(64, 3, 11, 11\)"
    ):
        Lpips(heads, heads)
    torch.save({"weights": [1, 2]}, tmp_path / "list.pth")
    with pytest.raises(WeightFileError, match="not a dict of tensors"):
        load_weights(WeightFile(path=str(tmp_path / "list.pth"), sha256=sha256_of(tmp_path / "list.pth")))


def test_a_file_never_runs_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    file = WeightFile(path=str(tmp_path / "evil.pth"), sha256=sha256_of(tmp_path / "evil.pth"))
    with pytest.raises(Exception, match=r"weights_only|Unsupported|GLOBAL"):
        load_weights(file)


@pytest.mark.slow
def test_open_loop_has_lpips_where_its_files_are(alexnet):
    page = PerceptualConfig(lpips_network=alexnet[0], lpips_heads=alexnet[1])
    model, episodes = tiny_world_model(), toy_episodes()
    with_it = open_loop_quality(model, episodes, sequences=3, steps=4, seed=0, perceptual=page).summary
    without = open_loop_quality(model, episodes, sequences=3, steps=4, seed=0).summary
    assert set(with_it) - set(without) == {"lpips_mean", "lpips_std"}
    assert with_it["lpips_mean"] > 0
    assert with_it["psnr_mean"] == without["psnr_mean"]


def test_half_of_lpips_is_refused(alexnet):
    with pytest.raises(ValueError, match="name lpips_heads as well"):
        PerceptualConfig(lpips_network=alexnet[0])
    with pytest.raises(ValueError, match="name lpips_network as well"):
        PerceptualConfig(lpips_heads=alexnet[1])


def test_fvd_is_the_mean_of_the_cameras():
    scores = PerceptualScores(PerceptualConfig(), "cpu")
    rng = np.random.default_rng(1)
    parts = {
        key: rng.normal(size=(20, 4)) for key in ((k, c) for k in ("predicted", "recorded") for c in "ab")
    }
    scores._logits = {key: [value[:8], value[8:]] for key, value in parts.items()}
    pairs = [frechet_distance(parts["predicted", c], parts["recorded", c]) for c in "ab"]
    assert scores.summary() == {"fvd": pytest.approx(np.mean(pairs))}


@pytest.mark.slow
def test_lpips_is_torchmetrics_with_the_published_heads(monkeypatch, tmp_path):
    """A second public implementation and LPIPS's own heads; AlexNet is random on both sides."""
    theirs = importlib.import_module("torchmetrics.functional.image.lpips")
    torch.manual_seed(1)
    network = AlexNetFeatures()
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: network.features)
    reference = theirs._LPIPS(net="alex", pnet_rand=True)
    path = Path(theirs.__file__).parent / "lpips_models/alex.pth"
    heads = WeightFile(path=str(path), sha256=LPIPS_HEADS)
    measure = Lpips(saved(tmp_path / "alexnet.pth", network.state_dict()), heads)
    one, other = images(3, 3), images(3, 4)
    expected = reference(one, other).flatten()
    assert expected.min() > 0
    torch.testing.assert_close(measure(one, other), expected, rtol=1e-3, atol=0)


def test_frechet_distance_is_torchmetrics():
    theirs = importlib.import_module("torchmetrics.image.fid")
    rng = np.random.default_rng(2)
    sets = [rng.normal(size=(60, 12)) @ rng.normal(size=(12, 12)) + shift for shift in (0.0, 0.5)]
    moments = [torch.from_numpy(x) for s in sets for x in (s.mean(axis=0), np.cov(s, rowvar=False))]
    assert frechet_distance(*sets) == pytest.approx(theirs._compute_fid(*moments).item(), rel=1e-6)
