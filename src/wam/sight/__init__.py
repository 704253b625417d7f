"""What a policy is shown of a state, and how a state follows real frames: for all who act, learn or judge."""
