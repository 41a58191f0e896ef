"""Initial weights from bigram counts.

A freshly initialized block passes its input on unchanged, so the model is no more than

    logits = head · norm(embedding)

a factorized table of what follows each token. The best such table need not be learned step by
step: it can be counted. With C[i, j] how often j follows i, and u[j] the share of j in the text,
the smoothed probability of j after i (Dirichlet prior of weight a; MacKay & Peto, "A Hierarchical
Dirichlet Language Model", 1995, equation 4) is

    P(j | i) = (C[i, j] + a u[j]) / (C[i, .] + a)

    log P(j | i) = log u[j] + S[i, j] + a term of i alone
         S[i, j] = log(1 + C[i, j] / (a u[j]))

The softmax does not see a term of i alone. S is zero for every unseen pair, hence sparse. Its best
low-rank approximation, each pair weighted by how common its tokens are, comes from the
singular value decomposition of diag(√n) S diag(√u), as in Levy & Goldberg, "Neural Word Embedding
as Implicit Matrix Factorization", 2014. So training starts where a randomly initialized model gets
after hundreds of steps; `docs/lab-notes.md` says what that is worth.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig
    from tfcli.text.checked_tokens import CheckedTokens, Tokens

PRIOR = 50.0  # a: occurrences of a token after which its own counts weigh as much as the prior
SCALE = 0.2  # root mean square of the embeddings
MAX_TOKENS = 1 << 22  # counted
SLICES = 64  # evenly spaced parts of a longer text
OVERSAMPLING, POWER_ITERATIONS = 16, 3  # of the decomposition: Halko et al. 2011, section 4.5


def bigram_tables(
    config: ModelConfig, tokens: Tokens | CheckedTokens, *, seed: int
) -> tuple[Tensor, Tensor]:
    """Embedding and head of a fresh model that predicts what a smoothed bigram table does.

    Args:
        config: of a model whose blocks pass their input on unchanged.
        tokens: to count in, shape (tokens,).
        seed: of the decomposition, and of what it leaves open.

    Returns:
        Two tables of shape (V, E).

    """
    vocab_size, width = config.vocab_size, config.d_model
    pairs, shares = count_pairs(tokens, vocab_size)
    followed, follows = factorize(pairs, shares, rank=width - 2, seed=seed)
    # Two more channels: a constant one, for log u, and one that gives all rows the same length, by
    # which the norm divides them.
    squares = followed.square().sum(1)
    common = squares.mean().sqrt().clamp(min=1.0)
    filling = (squares.max() - squares).sqrt()
    prior = (shares.log() - shares.log().mean()) / common
    embedding = torch.column_stack((followed, common.expand(vocab_size), filling))
    head = torch.column_stack((follows, prior, torch.zeros(vocab_size)))
    # a random rotation: no channel of the residual stream is to be special
    generator = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(width, width, generator=generator))
    scale = math.sqrt(width) / embedding[0].norm()  # to a root mean square of 1, as the norm does
    return SCALE * scale * embedding @ turn, head / scale @ turn


def count_pairs(tokens: Tokens | CheckedTokens, vocab_size: int) -> tuple[Tensor, Tensor]:
    """How often each token follows each, sparse (V, V), and each token's share of the text, (V,).

    A token that does not occur counts as half a one.
    """
    slices = 1 if len(tokens) <= MAX_TOKENS else SLICES
    size = min(len(tokens), MAX_TOKENS // slices)
    begins = np.linspace(0, len(tokens) - size, slices).astype(np.int64)
    codes = []
    counts = torch.full((vocab_size,), 0.5)
    for begin in begins:
        some = np.asarray(tokens[begin : begin + size]).astype(np.int64)
        codes.append(some[:-1] * vocab_size + some[1:])
        counts += torch.from_numpy(np.bincount(some, minlength=vocab_size))
    met, times = np.unique(np.concatenate(codes), return_counts=True)
    at = torch.from_numpy(np.stack(np.divmod(met, vocab_size)))
    pairs = _sparse(at, torch.from_numpy(times).float(), vocab_size)
    return pairs, counts / counts.sum()


def _sparse(at: Tensor, values: Tensor, size: int) -> Tensor:
    # said globally, or some versions of torch warn
    with torch.sparse.check_sparse_tensor_invariants():  # type: ignore[no-untyped-call]
        return torch.sparse_coo_tensor(at, values, (size, size), is_coalesced=True)


def factorize(pairs: Tensor, shares: Tensor, *, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two tables (V, rank) whose product is about S[i, j] = log(1 + C[i, j] / (a u[j])).

    Args:
        pairs: C, sparse (V, V).
        shares: u, (V,).

    """
    vocab_size = len(shares)
    before, after = pairs.indices()
    weight_before, weight_after = (shares.sqrt() for _ in range(2))
    values = torch.log1p(pairs.values() / (PRIOR * shares[after]))
    values *= weight_before[before] * weight_after[after]
    weighted = _sparse(pairs.indices(), values, vocab_size)
    found = min(rank, vocab_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        left, singular, right = torch.svd_lowrank(
            weighted, q=min(vocab_size, rank + OVERSAMPLING), niter=POWER_ITERATIONS
        )
    tables = []
    for vectors, weight in ((left, weight_before), (right, weight_after)):
        table = torch.zeros(vocab_size, rank)
        table[:, :found] = vectors[:, :found] * singular[:found].sqrt() / weight[:, None]
        tables.append(table)
    return tables[0], tables[1]
