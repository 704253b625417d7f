"""Convolutions with fewer products than they have terms, for wide layers on CPUs in fp32.

Winograd's minimal filtering (Arithmetic Complexity of Computations, 1980; as layers: Lavin and Gray, arXiv
1509.09308). Filtering is multiplying polynomials, and a product of polynomials is known from its values at
``m + r - 1`` points: so many products do for ``m`` outputs of a filter of ``r`` taps, where plain sums take
``m r``. In the plane both are squared: tiles of 3x3 outputs of a 3x3 kernel take 25 products for 81, tiles of
2x2 of a 2x2 kernel 9 for 16. One small matrix brings inputs to the points, another brings products back to
outputs; what costs is a matrix product per point, (tiles, inputs) with (inputs, outputs). Gradients take the
same way backwards.

Nothing is approximated; sums are rounded otherwise: outcomes of tiles of 5x5 by 1e-6 for 1e-7, gradients of a
whole decoder by 7e-6 for 3e-6. In bf16 it would be two to six times as much as by plain sums, which have that
precision for themselves.
Tensors have channels last, ``(n, h, w, c)``.
"""

import math
from fractions import Fraction
from functools import cache
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

POINTS: Final = (0, 1, -1, Fraction(1, 2), -2, Fraction(-1, 2))
"""Where polynomials are evaluated, in this order, and at infinity: small numbers, so that little is lost."""
ROWS: Final = 256
"""Of a product, where there are so many: enough for its speed; few, so that all of it stays in the cache."""
WIDE: Final = 8192
"""Inputs times outputs from which on a product weighs more than the way to the points and back."""
MANY: Final = 64
"""Frames from which on the way of the weight to the points, and of its gradient back, hardly counts."""


def fewer_products(inputs: int, outputs: int, frames: int, precision: torch.dtype) -> bool:
    """Whether a convolution with stride 1 is quicker by way of points."""
    return precision == torch.float32 and inputs * outputs >= WIDE and frames >= MANY


class TiledConvolution:
    """A convolution with stride 1 over squares, and its gradients; those of the weight are summed over calls.

    Args:
        weight: Of the convolution, in fp32.
        tile: Outputs along a side of a tile, of which a side of the output must be a multiple.
        padding: Zeros on each side of the input.

    Raises:
        ValueError: If such tiles need more points than there are; in methods, if a tensor does not fit them.
    """

    def __init__(self, weight: Float[Tensor, "o c r r"], tile: int, padding: int = 0) -> None:
        outputs, inputs, taps, _ = weight.shape
        if taps == 1:
            raise ValueError("a kernel of one tap has nothing to save: take a matrix product")
        self.taps, self.tile, self.padding = taps, tile, padding
        self.points = tile + taps - 1
        self.to_points, self.filter_to_points, self.from_points = transforms(tile, taps)
        flat = weight.permute(2, 3, 1, 0).reshape(taps**2, -1)
        self.filters = (self.filter_to_points @ flat).view(-1, inputs, outputs)
        self._d_filters: Tensor | None = None
        self._workspaces: dict[str, Tensor] = {}

    def convolve(self, x: Float[Tensor, "n h h c"], bias: Float[Tensor, " o"]) -> Float[Tensor, "n H H o"]:
        """Outputs and a bias."""
        return self._filter(x, bias=bias)

    def backward(
        self, grad: Float[Tensor, "n H H o"], x: Float[Tensor, "n h h c"]
    ) -> Float[Tensor, "n h h c"]:
        """Gradient of the input from that of the output; adds up that of the weight."""
        return self._spread(grad, learn_from=x)

    def transposed(self, y: Float[Tensor, "n H H o"]) -> Float[Tensor, "n h h c"]:
        """The transposed convolution."""
        return self._spread(y)

    def transposed_backward(
        self, grad: Float[Tensor, "n h h c"], y: Float[Tensor, "n H H o"]
    ) -> Float[Tensor, "n H H o"]:
        """Gradient of what ``transposed`` was given, from that of its outcome; adds up that of the weight."""
        return self._filter(grad, learn_from=y)

    def weight_gradient(self) -> Float[Tensor, "o c r r"]:
        """Of the weight, over all calls of :meth:`backward` and :meth:`transposed_backward`."""
        _, inputs, outputs = self.filters.shape
        d_filters = torch.zeros_like(self.filters) if self._d_filters is None else self._d_filters
        flat = self.filter_to_points.t() @ d_filters.flatten(start_dim=1)
        return flat.view(self.taps, self.taps, inputs, outputs).permute(3, 2, 0, 1)

    def _filter(self, x: Tensor, bias: Tensor | None = None, learn_from: Tensor | None = None) -> Tensor:
        """From the side of inputs to that of outputs; with such a tensor there, adds to the gradient."""
        side = x.shape[1] + 2 * self.padding - self.taps + 1
        tiles = self._tiles(side, x, learn_from)
        out = x.new_empty(len(x), side, side, self.filters.shape[2])
        for rows in _few_frames(len(x), tiles):
            seen = self._at_points(x[rows], tiles)
            if learn_from is not None:
                self._add_to_gradient(seen, self._products(self._by_tiles(learn_from[rows])))
            self._outputs(seen, self._by_tiles(out[rows]), bias)
        return out

    def _spread(self, y: Tensor, learn_from: Tensor | None = None) -> Tensor:
        """From the side of outputs to that of inputs; with such a tensor there, adds to the gradient."""
        tiles = self._tiles(y.shape[1], learn_from, y)
        reach = y.shape[1] + self.taps - 1
        out = y.new_zeros(len(y), reach, reach, self.filters.shape[1])
        for rows in _few_frames(len(y), tiles):
            products = self._products(self._by_tiles(y[rows]))
            if learn_from is not None:
                self._add_to_gradient(self._at_points(learn_from[rows], tiles), products)
            self._add_tiles(out[rows], products, tiles)
        inside = slice(self.padding, reach - self.padding)
        return out[:, inside, inside].contiguous()

    def _add_to_gradient(self, seen: Tensor, d_products: Tensor) -> None:
        """Add the gradient of the filters at the points."""
        if self._d_filters is None:
            self._d_filters = torch.zeros_like(self.filters)
        torch.baddbmm(self._d_filters, seen.transpose(1, 2), d_products, out=self._d_filters)

    def _tiles(self, side: int, x: Tensor | None, y: Tensor | None) -> int:
        """Along a side of the output, if inputs and outputs fit ``side`` of them."""
        sides = (side - 2 * self.padding + self.taps - 1, side)
        for tensor, length in zip((x, y), sides, strict=True):
            if tensor is None:
                continue
            fits = tensor.shape[1:3] == (length, length) and tensor.stride(3) == 1
            if not fits or side < 1 or side % self.tile:
                raise ValueError(
                    f"tiles of {self.tile}x{self.tile} do not make up {side}x{side} outputs of "
                    f"{sides[0]}x{sides[0]} inputs with channels last; a tensor has shape "
                    f"{tuple(tensor.shape)}, strides {tensor.stride()}, padding {self.padding}"
                )
        return side // self.tile

    def _by_tiles(self, y: Tensor) -> Float[Tensor, "tile tile n tiles tiles o"]:
        """A view of outputs with their place in the tile first."""
        tiles = y.shape[1] // self.tile
        split = y.view(len(y), tiles, self.tile, tiles, self.tile, y.shape[3])
        return split.permute(2, 4, 0, 1, 3, 5)

    def _at_points(self, x: Tensor, tiles: int) -> Float[Tensor, "points tiles c"]:
        """What each tile of all frames sees."""
        if self.padding:
            x = functional.pad(x, (0, 0, *[self.padding] * 4))
        across, down, along, _ = x.stride()
        size = (self.points, self.points, len(x), tiles, tiles, x.shape[3])
        seen = x.as_strided(size, (down, along, across, self.tile * down, self.tile * along, 1))
        windows = self._workspace("windows", *size).copy_(seen)
        return self._product("seen", self.to_points, windows).view(self.points**2, -1, x.shape[3])

    def _outputs(self, seen: Tensor, out: Tensor, bias: Tensor | None = None) -> None:
        """Write those of what is seen at the points to ``out``, by tiles."""
        space = self._workspace("products", *seen.shape[:2], out.shape[-1])
        products = torch.bmm(seen, self.filters, out=space)
        if bias is not None:
            products[self.points + 1] += bias  # 1 at the point (1, 1) is 1 everywhere
        out.copy_(self._product("outputs", self.from_points, products).view(out.shape))

    def _products(self, d_outputs: Tensor) -> Float[Tensor, "points tiles o"]:
        """Their gradient, from that of the outputs by tiles."""
        flat = self._workspace("outputs", *d_outputs.shape).copy_(d_outputs)
        products = self._product("products", self.from_points.t(), flat)
        return products.view(self.points**2, -1, d_outputs.shape[-1])

    def _add_tiles(self, out: Tensor, d_products: Tensor, tiles: int) -> None:
        """Add what tiles, which overlap, say of each place of the padded input, by gradients of products."""
        space = self._workspace("seen", *d_products.shape[:2], out.shape[3])
        d_seen = torch.bmm(d_products, self.filters.transpose(1, 2), out=space)
        pieces = self._product("windows", self.to_points.t(), d_seen)
        reach = self.tile * (tiles - 1) + 1
        for place, piece in enumerate(pieces.view(-1, len(out), tiles, tiles, out.shape[3])):
            down, along = divmod(place, self.points)
            out[:, down : down + reach : self.tile, along : along + reach : self.tile] += piece

    def _product(self, name: str, matrix: Tensor, x: Tensor) -> Tensor:
        """A small matrix times everything, in a workspace of that name."""
        flat = x.view(matrix.shape[1], -1)
        return torch.mm(matrix, flat, out=self._workspace(name, len(matrix), flat.shape[1]))

    def _workspace(self, name: str, *shape: int) -> Tensor:
        """Memory that is used again and again, so that it is in the cache; holds what was last there."""
        size = math.prod(shape)
        if name not in self._workspaces or self._workspaces[name].numel() < size:
            self._workspaces[name] = self.filters.new_empty(size)
        return self._workspaces[name][:size].view(shape)


def _few_frames(count: int, tiles: int) -> list[slice]:
    """Frames to take at once."""
    some = -(-ROWS // tiles**2)
    return [slice(start, start + some) for start in range(0, count, some)]


@cache
def transforms(tile: int, taps: int) -> tuple[Tensor, Tensor, Tensor]:
    """The matrices, for the plane, that bring inputs and filters to the points, and products to outputs.

    By Toom and Cook's construction, in fractions: a polynomial's values at the points, and at infinity its
    leading coefficient. In one dimension ``output = from_points (filter_to_points g * to_points d)``.
    """
    known = [Fraction(point) for point in POINTS[: tile + taps - 2]]
    if len(known) < tile + taps - 2:
        raise ValueError(f"tiles of {tile} outputs and {taps} taps need more points than {POINTS}")
    scales = [_at(_roots([p for p in known if p != point]), point) for point in known]
    to_points = [[*_roots([p for p in known if p != point]), Fraction(0)] for point in known]
    to_points.append(_roots(known))
    filters = [[point**k / scale for k in range(taps)] for point, scale in zip(known, scales, strict=True)]
    filters.append([Fraction(k == taps - 1) for k in range(taps)])
    outputs = [[point**k for point in known] + [Fraction(k == tile - 1)] for k in range(tile)]
    return _plane(to_points), _plane(filters), _plane(outputs)


def _roots(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of the polynomial with these roots and leading coefficient 1, the constant first."""
    found = [Fraction(1)]
    for root in roots:
        shifted, same = [Fraction(0), *found], [*found, Fraction(0)]
        found = [a - root * b for a, b in zip(shifted, same, strict=True)]
    return found


def _at(coefficients: list[Fraction], point: Fraction) -> Fraction:
    return sum((c * point**k for k, c in enumerate(coefficients)), Fraction(0))


def _plane(matrix: list[list[Fraction]]) -> Tensor:
    """The transform along rows and columns at once."""
    one = torch.tensor([[float(x) for x in row] for row in matrix], dtype=torch.float64)
    return torch.kron(one, one).to(torch.float32)
