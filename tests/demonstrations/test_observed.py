import numpy as np
import pandas as pd

from wam.demonstrations.observed import observe_segments
from wam.episodes.statistics import ProprioStatistics
from wam.world_model.featurize import featurize_segments

STATISTICS = ProprioStatistics(np.full(18, -2.0, np.float32), np.full(18, 4.0, np.float32))
SEGMENTS = pd.DataFrame({"start_row": [0, 14], "end_row": [5, 16]})


def test_rows_line_up_with_those_of_features(world_model, drawer_episodes):
    seen = observe_segments("proprio", drawer_episodes, SEGMENTS, STATISTICS)
    features = featurize_segments(
        world_model, drawer_episodes, SEGMENTS, start_repeats=1, fresh_samples=1, long_context=False, seed=0
    )
    assert seen.keys() == features.keys()
    for name in seen.keys() - {"feat"}:
        np.testing.assert_array_equal(seen[name], features[name], err_msg=name)


def test_a_privileged_row_has_its_own_episodes_layout(drawer_episodes):
    drawer_episodes.layout[:] = 0
    wide = np.zeros((2, 6))
    wide[1] = 0.1
    object.__setattr__(drawer_episodes, "layout", wide)
    seen = observe_segments("privileged", drawer_episodes, SEGMENTS, STATISTICS)["feat"]
    assert seen.shape == (9, 30)
    assert (seen[:6, 24:] == seen[0, 24:]).all()
    assert (seen[6:, 24:] != seen[0, 24:]).all()
