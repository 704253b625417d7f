"""Closed-loop success in the simulator with its controls, and the open-loop quality of imagination."""
