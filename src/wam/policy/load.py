"""Any policy from its checkpoint."""

from wam.policy import diffusion, fine_tuned
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.fine_tuned import FineTunedPolicy
from wam.training.checkpoint import Checkpoint

Policy = DiffusionPolicy | FineTunedPolicy
"""What an agent can act with: ``config``, ``sees``, ``cond_dim``, ``sample`` and ``to_checkpoint``."""


def policy_from_checkpoint(checkpoint: Checkpoint) -> Policy:
    """Rebuild a cloned or a fine-tuned policy, by the checkpoint's kind.

    Raises:
        ValueError: If the checkpoint holds no policy.
    """
    if checkpoint.kind == diffusion.KIND:
        return DiffusionPolicy.from_checkpoint(checkpoint)
    if checkpoint.kind == fine_tuned.KIND:
        return FineTunedPolicy.from_checkpoint(checkpoint)
    raise ValueError(
        f"a checkpoint of kind {checkpoint.kind!r} holds no policy; "
        f"expected {diffusion.KIND!r} or {fine_tuned.KIND!r}"
    )


def behavior_digest(policy: Policy) -> str:
    """The same for two policies that choose the same actions from the same conditions and seeds.

    A fine-tuned policy whose actor is still the copy it began as acts like its base.
    """
    if isinstance(policy, FineTunedPolicy):
        base = policy.base.to_checkpoint().digest
        if policy.actor.to_checkpoint().digest == base:
            return base
    return policy.to_checkpoint().digest
