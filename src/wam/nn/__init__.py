"""Network blocks that know nothing of robots."""
