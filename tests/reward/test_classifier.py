import numpy as np
import pytest
import torch

from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig, RewardTrainingConfig
from wam.reward.inputs import classifier_input, input_width, with_start
from wam.reward.losses import supervised_contrastive
from wam.reward.metrics import DetectionQuality, precision_recall
from wam.reward.train import RewardObjective, train_classifier
from wam.training.checkpoint import load_checkpoint, save_checkpoint
from wam.training.config import OptimizerConfig


def make_config(**changes: object) -> ClassifierConfig:
    page = {"encoder_hidden": 16, "embed_dim": 8, "head_hidden": 16, "sees_start": False}
    page |= {"standardize": True}
    return ClassifierConfig(**(page | changes))


def make_training(**changes: object) -> RewardTrainingConfig:
    page = {"optimizer": OptimizerConfig(learning_rate=3e-3), "batch": 32, "steps": 200, "balanced": True}
    return RewardTrainingConfig(**(page | changes))


def quality_of(classifier: RewardClassifier, feat: np.ndarray, label: np.ndarray) -> DetectionQuality:
    return precision_recall(label, classifier.predict(torch.from_numpy(feat)).numpy())


def make_data(n: int = 300, positive: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.uniform(size=n) < positive
    feat = rng.normal(size=(n, 10)).astype(np.float32)
    feat[:, 0] += np.where(label, 2.5, -2.5)
    return feat * 5 + 2, label


@pytest.mark.parametrize(("sees_start", "size"), [(False, 2_625_794), (True, 2_625_794 + 2048 * 1024)])
def test_published_size_and_that_with_the_start(sees_start, size):
    page = make_config(
        encoder_hidden=1024, embed_dim=256, head_hidden=1024, standardize=False, sees_start=sees_start
    )
    classifier = RewardClassifier(2048, page)
    assert classifier.feat_dim == 2048
    assert sum(p.numel() for p in classifier.parameters()) == size


def test_the_start_stands_behind_the_feature():
    feat, start = torch.randn(2, 3, 4), torch.randn(2, 1, 4)
    joined = with_start(feat, start)
    assert joined.shape == (2, 3, 8)
    assert torch.equal(joined[..., :4], feat)
    assert torch.equal(joined[..., 4:], start.expand(2, 3, 4))
    assert classifier_input(feat, start, sees_start=False) is feat
    assert [input_width(4, sees_start=sees) for sees in (False, True)] == [4, 8]


@pytest.mark.slow
@pytest.mark.parametrize(("sees_start", "least", "most"), [(True, 0.95, 1.0), (False, 0.0, 0.8)])
def test_a_change_since_the_start_shows_only_beside_the_start(sees_start, least, most):
    rng = np.random.default_rng(0)
    start, feat = rng.normal(size=(2, 2000, 3)).astype(np.float32)
    label = feat[:, 0] - start[:, 0] > 0.5
    inputs = classifier_input(torch.from_numpy(feat), torch.from_numpy(start), sees_start=sees_start).numpy()
    classifier, _ = train_classifier(
        inputs[:1000], label[:1000], make_config(sees_start=sees_start), make_training(steps=400), seed=0
    )
    assert classifier.feat_dim == 3
    assert least <= quality_of(classifier, inputs[1000:], label[1000:]).accuracy <= most


def test_inputs_that_are_not_two_features_are_refused():
    feat, label = make_data()
    with pytest.raises(ValueError, match="sees_start is on, but inputs are 9 wide"):
        train_classifier(feat[:, :9], label, make_config(sees_start=True), make_training(), seed=0)


def test_contrastive_loss_against_loops():
    torch.manual_seed(0)
    x, label, tau = torch.randn(7, 4), torch.tensor([0, 1, 1, 0, 0, 1, 2]), 0.5
    unit = x / x.norm(dim=-1, keepdim=True)
    rows = []
    for i in range(7):
        others = sum(torch.exp(unit[i] @ unit[k] / tau) for k in range(7) if k != i)
        terms = [
            -torch.log(torch.exp(unit[i] @ unit[j] / tau) / others) for j in range(7) if label[j] == label[i]
        ]
        rows.append(sum(terms) / len(terms))
    expected = sum(rows) / len(rows)
    torch.testing.assert_close(supervised_contrastive(x, label, tau), expected)


def test_contrastive_loss_falls_when_classes_part():
    label = torch.tensor([0, 0, 1, 1])
    mixed = supervised_contrastive(torch.eye(4), label, 0.5)
    parted = supervised_contrastive(torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0]]), label, 0.5)
    assert parted < mixed


@pytest.mark.slow
@pytest.mark.parametrize("balanced", [True, False])
def test_training_separates_a_separable_set(balanced):
    feat, label = make_data()
    classifier, result = train_classifier(
        feat, label, make_config(), make_training(balanced=balanced), seed=0
    )
    quality = quality_of(classifier, feat, label)
    assert quality.precision > 0.95
    assert quality.recall > 0.95
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_balanced_batches_hold_half_of_each_class():
    feat, label = make_data(positive=0.1)
    classifier = RewardClassifier(10, make_config())
    objective = RewardObjective(
        classifier, torch.from_numpy(feat), torch.from_numpy(label), batch=20, balanced=True, seed=0
    )
    for step in range(30):  # over the ends of passes of the rare class too
        rows = np.concatenate([group.rows(step) for group in objective._groups])
        assert label[rows].sum() == 10
        assert len(rows) == 20


def test_unbalanced_passes_use_every_frame_once():
    feat, label = make_data(n=50)
    classifier = RewardClassifier(10, make_config())
    objective = RewardObjective(
        classifier, torch.from_numpy(feat), torch.from_numpy(label), batch=20, balanced=False, seed=0
    )
    rows = np.concatenate([objective._groups[0].rows(step) for step in range(3)])
    assert sorted(rows) == list(range(50))


def test_training_repeats_with_the_seed():
    feat, label = make_data()
    ways = [(0, None), (0, None), (0, 13), (1, None)]
    whole, again, early, other = (
        train_classifier(feat, label, make_config(), make_training(steps=20), seed=seed, stop_after=stop)[0]
        .encoder[0]
        .weight
        for seed, stop in ways
    )
    assert torch.equal(whole, again)
    assert not torch.equal(whole, early)
    assert not torch.equal(whole, other)


@pytest.mark.parametrize("sees_start", [False, True])
@pytest.mark.parametrize("alike", [False, True])
def test_parts_of_features_count_alike_where_the_page_says_so(alike, sees_start):
    feat, label = make_data()
    page = make_config(parts_alike=alike, sees_start=sees_start)
    inputs = np.hstack((feat, feat[::-1])) if sees_start else feat
    classifier, _ = train_classifier(inputs, label, page, make_training(steps=1), seed=0, parts=(8, 2))
    variance = classifier.standardizer(torch.from_numpy(inputs)).var(0, correction=0)
    one = [10 / 16] * 8 + [10 / 4] * 2 if alike else [1.0] * 10
    torch.testing.assert_close(variance, torch.tensor(one * (2 if sees_start else 1)))


def test_few_numbers_that_tell_are_found_among_many_that_do_not():
    rng = np.random.default_rng(0)
    label = rng.uniform(size=900) < 0.5
    told = np.where(label, 1.0, -1.0)[:, None] + 0.6 * rng.normal(size=(900, 1))
    feat = np.hstack((rng.normal(size=(900, 400)), told)).astype(np.float32)
    found = {}
    for alike in (False, True):
        page, training = make_config(parts_alike=alike), make_training(steps=60)
        classifier, _ = train_classifier(feat[:300], label[:300], page, training, seed=0, parts=(400, 1))
        found[alike] = (classifier.predict(torch.from_numpy(feat[300:])).numpy() == label[300:]).mean()
    assert found[True] > 0.9
    assert found[True] > found[False] + 0.1


def test_parts_of_what_is_not_standardised_are_refused():
    with pytest.raises(ValueError, match=r"classifier\.parts_alike is true and .*standardize false"):
        make_config(parts_alike=True, standardize=False)


def test_decision_is_the_larger_logit_or_a_threshold():
    torch.manual_seed(0)
    plain = RewardClassifier(10, make_config(standardize=False))
    feat = torch.randn(3, 100, 10) * 5
    logits = plain.head(plain.encoder(feat))
    assert torch.equal(plain.predict(feat), logits.argmax(-1) == 1)
    strict = RewardClassifier(10, make_config(standardize=False, threshold=0.6))
    strict.load_state_dict(plain.state_dict())
    assert torch.equal(strict.predict(feat), logits.softmax(-1)[..., 1] > 0.6)


@pytest.mark.parametrize("sees_start", [False, True])
def test_checkpoint_round_trip(tmp_path, sees_start):
    classifier = RewardClassifier(10, make_config(threshold=0.7, sees_start=sees_start))
    width = input_width(10, sees_start=sees_start)
    classifier.fit_input(torch.randn(30, width) * 4)
    save_checkpoint(tmp_path / "c", classifier.to_checkpoint())
    back = RewardClassifier.from_checkpoint(load_checkpoint(tmp_path / "c"))
    feat = torch.randn(5, width)
    assert torch.equal(back.success_logit(feat), classifier.success_logit(feat))
    assert back.config == classifier.config


def test_loss_leaves_its_inputs_alone():
    classifier = RewardClassifier(10, make_config())
    feat, label = torch.randn(8, 10), torch.tensor([True, False] * 4)
    copies = feat.clone(), label.clone()
    classifier.loss(feat, label).loss.backward()
    assert torch.equal(feat, copies[0])
    assert torch.equal(label, copies[1])


def test_metrics_by_hand():
    label = np.array([True, True, False, False, True])
    quality = precision_recall(label, np.array([True, False, True, False, True]))
    assert (quality.precision, quality.recall, quality.accuracy) == (2 / 3, 2 / 3, 3 / 5)
    nothing = precision_recall(label, np.zeros(5, bool))
    assert nothing.precision is None
    assert nothing.to_dict()["recall"] == 0


@pytest.mark.parametrize(
    ("label", "message"),
    [(np.zeros(300, bool), "0 of 300 frames"), (np.zeros(299, bool), "300 inputs and 299 labels")],
)
def test_unusable_labels_are_refused(label, message):
    feat, _ = make_data()
    with pytest.raises(ValueError, match=message):
        train_classifier(feat, label, make_config(), make_training(), seed=0)


def test_nan_input_is_refused():
    feat, label = make_data()
    feat[3, 3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        train_classifier(feat, label, make_config(), make_training(), seed=0)
