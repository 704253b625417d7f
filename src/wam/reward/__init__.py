"""Judges of success: which frames, real or imagined, show a solved task."""
