from wam.training import metrics


def test_every_subscriber_gets_a_copy_until_it_leaves():
    first, second = [], []

    def spoil(values, step):
        values["x"] = 9.0
        first.append(step)

    leave_first = metrics.subscribe(spoil)
    leave_second = metrics.subscribe(lambda values, step: second.append((step, values)))
    metrics.publish({"x": 1.0}, 3)
    leave_first()
    leave_first()
    metrics.publish({"x": 2.0}, 4)
    leave_second()
    metrics.publish({"x": 3.0}, 5)
    assert first == [3]
    assert second == [(3, {"x": 1.0}), (4, {"x": 2.0})]
