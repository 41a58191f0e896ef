"""The kernels as functions of tensors, with gradients.

The formulas are in the C files, above each kernel; `reference` has the same functions in torch.
Where the gradient of a gradient is wanted, it comes from there.
"""

from __future__ import annotations

from ctypes import Structure, byref, c_float, c_int, c_void_p
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tfcli.model.native import reference
from tfcli.model.native.library import load_library
from tfcli.model.native.reference import Heads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NUMBER_FORMATS = {torch.float32: 0, torch.bfloat16: 1}  # kernels.h has the same


def call(name: str, *arguments: Any) -> None:
    """Calls a kernel with pointers to tensors, which must be contiguous, on torch's threads."""
    library = load_library()
    assert library is not None, "callers ask `library_for` first"
    values = (a.data_ptr() if isinstance(a, Tensor) else a for a in arguments)
    getattr(library, name)(*values, torch.get_num_threads())


def _rows(x: Tensor, width: int) -> tuple[int, int, int]:
    """What kernels of rows ask for first: number format, rows, width."""
    return NUMBER_FORMATS[x.dtype], x.numel() // width, width


def _with_graph(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """Gradients of a reference of these inputs that can be differentiated again."""
    # aliases: an input may itself have been computed from another
    aliases = [tensor.view_as(tensor) for tensor in inputs]
    wanted = [alias for alias in aliases if alias.requires_grad]
    found = iter(torch.autograd.grad(function(*aliases), wanted, gradient, create_graph=True))
    return tuple(next(found) if alias.requires_grad else None for alias in aliases)


# --- residual connection, dropout, RMSNorm --------------------------------------------------------


class Norm(torch.autograd.Function):
    """See `rms_norm`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        x = x.contiguous()
        y = torch.empty_like(x)
        rows = _rows(x, x.shape[-1])
        call("add_norm", *rows, x, None, None, 0.0, weight, epsilon, None, y)
        ctx.save_for_backward(x, weight)
        ctx.epsilon = epsilon
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *_norm_with_graph(x, weight, ctx.epsilon, gradients[0]), None
        to_x, _, to_weight = _norm_backward(x, weight, ctx.epsilon, None, 0.0, None, gradients[0])
        return to_x, to_weight, None


class AddNorm(torch.autograd.Function):
    """See `add_norm`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        branch: Tensor,
        mask: Tensor | None,
        factor: float,
        weight: Tensor,
        epsilon: float,
    ) -> tuple[Tensor, Tensor]:
        x, branch = x.contiguous(), branch.contiguous()
        total, y = torch.empty_like(x), torch.empty_like(x)
        rows = _rows(x, x.shape[-1])
        call("add_norm", *rows, x, branch, mask, factor, weight, epsilon, total, y)
        ctx.save_for_backward(total, weight, *() if mask is None else (mask,))
        ctx.factor, ctx.epsilon = factor, epsilon
        ctx.set_materialize_grads(False)
        return total, y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        total, weight, *masks = ctx.saved_tensors
        mask = masks[0] if masks else None
        to_total, to_y = gradients
        to_y = torch.zeros_like(total) if to_y is None else to_y
        if torch.is_grad_enabled():
            to_x, to_weight = _norm_with_graph(total, weight, ctx.epsilon, to_y)
            to_x = to_x if to_total is None else to_x + to_total
            to_branch = to_x
            if to_x is not None and mask is not None:
                to_branch = to_x * (mask.to(to_x.dtype) * ctx.factor)
        else:
            to_x, to_branch, to_weight = _norm_backward(
                total, weight, ctx.epsilon, mask, ctx.factor, to_total, to_y
            )
        return to_x, to_branch, None, None, to_weight, None


def _norm_with_graph(
    x: Tensor, weight: Tensor, epsilon: float, gradient: Tensor
) -> tuple[Tensor | None, ...]:
    return _with_graph(partial(reference.rms_norm, epsilon=epsilon), (x, weight), gradient)


def _norm_backward(
    total: Tensor,
    weight: Tensor,
    epsilon: float,
    mask: Tensor | None,
    factor: float,
    to_total: Tensor | None,
    to_y: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, of the branch, and of the weight."""
    format, rows, width = _rows(total, total.shape[-1])
    library = load_library()
    assert library is not None
    partials = weight.new_empty(library.num_chunks(rows), width)
    to_x, to_weight = torch.empty_like(total), torch.empty_like(weight)
    to_branch = to_x if mask is None else torch.empty_like(total)
    call(
        "add_norm_backward", format, rows, width, total, mask, factor, weight, epsilon,
        None if to_total is None else to_total.contiguous(), to_y.contiguous(), to_x,
        None if mask is None else to_branch, partials, to_weight,
    )  # fmt: skip
    return to_x, to_branch, to_weight


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """RMSNorm over the last dimension."""
    return Norm.apply(x, weight, epsilon)  # type: ignore[no-any-return,no-untyped-call]


def add_norm(
    x: Tensor, branch: Tensor, mask: Tensor | None, factor: float, weight: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """The sum of x and the branch, which dropout masks and scales; and its norm."""
    return AddNorm.apply(x, branch, mask, factor, weight, epsilon)  # type: ignore[no-any-return,no-untyped-call]


# --- SwiGLU ---------------------------------------------------------------------------------------


class SwiGLU(torch.autograd.Function):
    """See `swiglu`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        width = x.shape[-1] // 2
        y = x.new_empty(*x.shape[:-1], width)
        call("swiglu", *_rows(y, width), x, y)
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _with_graph(reference.swiglu, (x,), gradients[0])
        to_x, to_y = torch.empty_like(x), gradients[0].contiguous()
        call("swiglu_backward", *_rows(to_y, to_y.shape[-1]), x, to_y, to_x)
        return (to_x,)


def swiglu(x: Tensor) -> Tensor:
    """silu(gate) * up, of both side by side: (..., 2 F) -> (..., F)."""
    return SwiGLU.apply(x)  # type: ignore[no-any-return,no-untyped-call]


# --- cross-entropy --------------------------------------------------------------------------------


class CrossEntropy(torch.autograd.Function):
    """See `cross_entropy`."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, ignore_index: int) -> Tensor:
        logits, targets = logits.contiguous(), targets.contiguous()
        rows = _rows(logits, logits.shape[-1])
        maxima, sums, losses = (torch.empty(len(targets)) for _ in range(3))
        total = torch.empty(())
        call("cross_entropy", *rows, logits, targets, ignore_index, maxima, sums, losses, total)
        ctx.save_for_backward(logits, targets, maxima, sums)
        ctx.ignore_index = ignore_index
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        logits, targets, maxima, sums = ctx.saved_tensors
        if torch.is_grad_enabled():
            loss = partial(reference.cross_entropy, targets=targets, ignore_index=ctx.ignore_index)
            return *_with_graph(loss, (logits,), gradients[0]), None, None
        rows, to_logits = _rows(logits, logits.shape[-1]), torch.empty_like(logits)
        call(
            "cross_entropy_backward", *rows, logits, targets, ctx.ignore_index, maxima, sums,
            gradients[0], to_logits,
        )  # fmt: skip
        return to_logits, None, None


def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int) -> Tensor:
    """The summed loss: logits (N, V), targets (N,)."""
    return CrossEntropy.apply(logits, targets, ignore_index)  # type: ignore[no-any-return,no-untyped-call]


# --- attention ------------------------------------------------------------------------------------


class _Attention(Structure):
    _fields_ = [
        ("format", c_int),
        ("rows", c_int),
        ("length", c_int),
        ("num_heads", c_int),
        ("num_kv_heads", c_int),
        ("head_dim", c_int),
        ("qkv", c_void_p),
        ("query_weight", c_void_p),
        ("key_weight", c_void_p),
        ("epsilon", c_float),
        ("cosines", c_void_p),
        ("sines", c_void_p),
    ]


def _attention(
    qkv: Tensor, tables: Sequence[Tensor | None], heads: Heads, epsilon: float
) -> tuple[Any, Tensor]:
    """The struct that describes it, and memory for all threads."""
    pointers = [None if table is None else table.data_ptr() for table in tables]
    struct = _Attention(
        NUMBER_FORMATS[qkv.dtype], *qkv.shape[:2], *heads, qkv.data_ptr(), *pointers[:2], epsilon,
        *pointers[2:],
    )  # fmt: skip
    library = load_library()
    assert library is not None
    size = library.attention_memory(byref(struct)) * torch.get_num_threads()
    return byref(struct), torch.empty(size)


class CausalAttention(torch.autograd.Function):
    """See `causal_attention`."""

    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        query_weight: Tensor | None,
        key_weight: Tensor | None,
        cosines: Tensor | None,
        sines: Tensor | None,
        heads: Heads,
        epsilon: float,
    ) -> Tensor:
        qkv, tables = qkv.contiguous(), (query_weight, key_weight, cosines, sines)
        struct, memory = _attention(qkv, tables, heads, epsilon)
        out = qkv.new_empty(*qkv.shape[:2], heads.num_heads * heads.head_dim)
        normalizers = torch.empty(len(qkv), heads.num_heads, qkv.shape[1])
        call("attention", struct, out, normalizers, memory)
        ctx.save_for_backward(qkv, *tables, out, normalizers)
        ctx.heads, ctx.epsilon = heads, epsilon
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        qkv, *tables, out, normalizers = ctx.saved_tensors
        heads, weights = ctx.heads, tables[:2]
        normed = weights[0] is not None
        if torch.is_grad_enabled():
            rotary = None if tables[2] is None else (tables[2], tables[3])
            attend = partial(
                reference.causal_attention, rotary=rotary, heads=heads, epsilon=ctx.epsilon
            )
            inputs = (qkv, *weights) if normed else (qkv,)
            found = _with_graph(attend, inputs, gradients[0])
            return *found, *[None] * (7 - len(found))
        struct, memory = _attention(qkv, tables, heads, ctx.epsilon)
        to_qkv, to_weights = torch.empty_like(qkv), torch.empty(2, heads.head_dim)
        partials = torch.empty(len(qkv) * heads.num_kv_heads, 2, heads.head_dim)
        call(
            "attention_backward", struct, out, normalizers, gradients[0].contiguous(), to_qkv,
            partials, to_weights, memory,
        )  # fmt: skip
        to_norms = (to_weights[0], to_weights[1]) if normed else (None, None)
        return to_qkv, *to_norms, None, None, None, None


def causal_attention(
    qkv: Tensor,
    query_weight: Tensor | None = None,
    key_weight: Tensor | None = None,
    *,
    rotary: tuple[Tensor, Tensor] | None,
    heads: Heads,
    epsilon: float,
) -> Tensor:
    """Causal attention with QK-norm and RoPE: (B, T, (H + 2 K) D) -> (B, T, H D).

    Args:
        query_weight, key_weight: (D,), of the norms; None: there are none.
        rotary: cosines and sines, (T, D) each; None: no RoPE.

    """
    tables = (query_weight, key_weight, *(rotary or (None, None)))
    return CausalAttention.apply(qkv, *tables, heads, epsilon)  # type: ignore[no-any-return,no-untyped-call]
