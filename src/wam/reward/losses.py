"""The supervised contrastive loss, as a pure function."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def supervised_contrastive(
    embedding: Float[Tensor, "B E"],
    label: Int[Tensor, " B"],
    temperature: float,
) -> Float[Tensor, ""]:
    """NT-Xent with labels: pull embeddings of one class together, push the classes apart.

    With ``u`` the embeddings of unit length and ``s_ij = u_i u_j / temperature``, row i contributes the mean
    over its positives j (same label) of ``-(s_ij - log sum_{k != i} exp s_ik)``. As published, i itself is
    among its positives: that adds a constant to the similarity, weakens the pull of small classes and keeps a
    class of one row defined.

    Args:
        embedding: Embeddings, any length.
        label: Class of each row.
        temperature: tau, above 0.

    Returns:
        Mean over the rows.

    Source:
        docs/published.md, rewards; Khosla et al. 2020, equation 2.
    """
    unit = torch.nn.functional.normalize(embedding, dim=-1)
    similarity = unit @ unit.T / temperature
    diagonal = torch.eye(len(label), dtype=torch.bool, device=label.device)
    denominator = similarity.masked_fill(diagonal, float("-inf")).logsumexp(-1, keepdim=True)
    positive = label[:, None] == label[None]
    per_row = -((similarity - denominator) * positive).sum(-1) / positive.sum(-1)
    return per_row.sum() / len(label)
