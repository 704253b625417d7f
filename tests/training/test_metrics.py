import threading

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


def test_figures_reach_only_subscribers_of_the_same_thread():
    seen = {"a": [], "b": [], "main": []}
    meet = threading.Barrier(2)

    def work(name):
        leave = metrics.subscribe(lambda values, step: seen[name].append((step, values)))
        meet.wait()
        for step in range(3):
            metrics.publish({name: float(step)}, step)
        leave()
        metrics.publish({name: 9.0}, 9)

    leave = metrics.subscribe(lambda values, step: seen["main"].append((step, values)))
    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    leave()
    assert seen == {
        "a": [(step, {"a": float(step)}) for step in range(3)],
        "b": [(step, {"b": float(step)}) for step in range(3)],
        "main": [],
    }


def test_a_subscription_can_be_ended_from_another_thread():
    seen = []
    leave = metrics.subscribe(lambda _, step: seen.append(step))
    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    metrics.publish({"x": 1.0}, 1)
    assert seen == []
