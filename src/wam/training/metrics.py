"""Where training figures go: publishers need not know who listens (a log, MLflow, a test).

A subscription belongs to the context (so to the thread) that made it: where two trainings run side by side
in two threads, each one's figures reach its own subscribers only.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

Sink = Callable[[dict[str, float], int], None]


@dataclass(eq=False)
class _Subscription:
    sink: Sink
    active: bool = True


_SUBSCRIPTIONS: Final[ContextVar[tuple[_Subscription, ...]]] = ContextVar("subscriptions", default=())


def subscribe(sink: Sink) -> Callable[[], None]:
    """Send every figure published in this thread to ``sink(values, step)`` from now on.

    Returns:
        A function that ends the subscription, from any thread; calling it again does nothing.
    """
    subscription = _Subscription(sink)
    _SUBSCRIPTIONS.set((*_active(), subscription))

    def unsubscribe() -> None:
        subscription.active = False
        _SUBSCRIPTIONS.set(_active())

    return unsubscribe


def publish(values: Mapping[str, float], step: int) -> None:
    """Send figures by name, with the step they belong to, to this thread's subscribers, oldest first."""
    for subscription in _active():
        subscription.sink(dict(values), step)


def _active() -> tuple[_Subscription, ...]:
    return tuple(subscription for subscription in _SUBSCRIPTIONS.get() if subscription.active)
