"""Where training figures go: publishers need not know who listens (a log, MLflow, a test)."""

from collections.abc import Callable, Mapping

Sink = Callable[[dict[str, float], int], None]

_sinks: list[Sink] = []


def subscribe(sink: Sink) -> Callable[[], None]:
    """Send every published figure to ``sink(values, step)`` from now on.

    Returns:
        A function that ends the subscription; calling it again does nothing.
    """
    _sinks.append(sink)

    def unsubscribe() -> None:
        if sink in _sinks:
            _sinks.remove(sink)

    return unsubscribe


def publish(values: Mapping[str, float], step: int) -> None:
    """Send figures by name, with the step they belong to, to all subscribers in order of subscription."""
    for sink in list(_sinks):
        sink(dict(values), step)
