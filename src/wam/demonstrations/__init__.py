"""Expert segments to training sets: replay labels, near misses, imagined rollouts, balanced sets."""
