"""The supervised contrastive loss, as a pure function."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def supervised_contrastive(
    embedding: Float[Tensor, "B E"],
    label: Int[Tensor, " B"],
    temperature: float,
    *,
    self_positive: bool = True,
) -> Float[Tensor, ""]:
    """NT-Xent with labels: pull embeddings of one class together, push the classes apart.

    With ``u`` the embeddings of unit length and ``s_ij = u_i u_j / temperature``, row i contributes the mean
    over its positives j (same label) of ``-(s_ij - log sum_{k != i} exp s_ik)``.

    Args:
        embedding: Embeddings, any length.
        label: Class of each row.
        temperature: tau, above 0.
        self_positive: Count i itself among its positives, as published. It adds a constant to the similarity,
            weakens the pull of small classes and keeps a class of one row defined. Without it, such a row is
            left out.

    Returns:
        Mean over the rows that have a positive; 0 if none has.

    Source:
        docs/published.md, rewards; Khosla et al. 2020, equation 2.
    """
    unit = torch.nn.functional.normalize(embedding, dim=-1)
    similarity = unit @ unit.T / temperature
    diagonal = torch.eye(len(label), dtype=torch.bool, device=label.device)
    denominator = similarity.masked_fill(diagonal, float("-inf")).logsumexp(-1, keepdim=True)
    positive = label[:, None] == label[None]
    if not self_positive:
        positive = positive & ~diagonal
    count = positive.sum(-1)
    per_row = -((similarity - denominator) * positive).sum(-1) / count.clamp_min(1)
    has_positive = (count > 0).to(per_row.dtype)
    return (per_row * has_positive).sum() / has_positive.sum().clamp_min(1)
