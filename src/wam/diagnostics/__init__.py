"""Why a policy fails: what features know, how long imagination keeps it, and what imagination is worth."""
