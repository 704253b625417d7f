"""Train robot policies inside a learned world model, and know whether the result is true."""

__version__ = "0.1.0"
