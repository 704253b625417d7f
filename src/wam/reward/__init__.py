"""The success classifier: which frames, real or imagined, show a solved task."""
