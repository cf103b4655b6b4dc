"""Triton kernels for `fastresnet.compute.kernels.fused`.

Images are rows of channels in memory: [N, H, W, C]. A program is Triton's word for a thread block. Unless a docstring says
otherwise, its tile has ROWS x CHANNELS values, both powers of two, and `partial`, fp32 [programs, 2, channels], holds two sums
per channel from each program. They are added up in a fixed order. Matrix products in fp32 use TF32.
"""

import triton
from triton import language as tl


@triton.jit
def _normal(z):  # type: ignore[no-untyped-def]
    """The standard normal distribution function of z, and z times its density, with absolute errors of at most 6.1e-5 and
    1.11e-4. They come from a logistic function of a polynomial, fitted to both, since erf takes longer than reading its argument
    from memory."""
    square = tl.minimum(z * z, 36.0)  # beyond six deviations the polynomial is not monotonic
    power = z * (-2.30098424 + square * (-0.106720908 + square * 0.000991319601))
    slope = z * (1.59492074 + square * (0.221919889 - square * 0.00343565193))
    below = 1.0 / (1.0 + tl.exp2(power))
    return below, slope * (below - below * below)


@triton.jit
def _activate(z, ACTIVATION: tl.constexpr):  # type: ignore[no-untyped-def]
    if ACTIVATION == "gelu":
        below, _ = _normal(z)
        return z * below
    return tl.where(z < 0, 0.0, z)  # a maximum would turn NaN into zero and hide a diverging run


@triton.jit
def _slope(z, ACTIVATION: tl.constexpr):  # type: ignore[no-untyped-def]
    """The derivative of the activation."""
    if ACTIVATION == "gelu":
        below, more = _normal(z)
        return below + more
    return tl.where(z > 0, 1.0, 0.0)


@triton.jit
def _pool(x, row, channel, height, width, channels, mask, ROWS: tl.constexpr, CHANNELS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The maximum of each 2x2 pixels, and its index among the four. Among equal pixels, the first one counts."""
    column = row % (width // 2)
    line = row // (width // 2)  # counted over all images
    image = line // (height // 2)
    corner = ((image * height + line % (height // 2) * 2) * width + column * 2).to(tl.int64) * channels + channel
    value = tl.load(x + corner, mask, other=0.0).to(tl.float32)
    place = tl.zeros((ROWS, CHANNELS), tl.uint8)
    for k in tl.static_range(1, 4):
        other = tl.load(x + corner + (k // 2 * width + k % 2) * channels, mask, other=0.0).to(tl.float32)
        larger = (other > value) | (other != other)  # NaN propagates, as in torch
        place = tl.where(larger, k, place).to(tl.uint8)
        value = tl.where(larger, other, value)
    return value, place


@triton.jit(do_not_specialize=["rows", "height", "width"])
def pool_and_sum(  # type: ignore[no-untyped-def]
    x, pooled, chosen, partial, rows, height, width, channels, POOL: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):
    """Pools x if POOL, and writes the sums of the result and of its squares to `partial`."""
    channel = tl.arange(0, CHANNELS)[None, :]
    total = tl.zeros((ROWS, CHANNELS), tl.float32)
    squares = tl.zeros((ROWS, CHANNELS), tl.float32)
    for start in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = start + tl.arange(0, ROWS)[:, None]
        mask = (row < rows) & (channel < channels)
        if POOL:
            value, place = _pool(x, row, channel, height, width, channels, mask, ROWS, CHANNELS)
            here = row.to(tl.int64) * channels + channel
            tl.store(pooled + here, value, mask)
            tl.store(chosen + here, place, mask)
        else:
            value = tl.load(x + row.to(tl.int64) * channels + channel, mask, other=0.0).to(tl.float32)
        total += value
        squares += value * value
    sums = partial + tl.program_id(0) * 2 * channels + tl.arange(0, CHANNELS)
    tl.store(sums, tl.sum(total, axis=0), tl.arange(0, CHANNELS) < channels)
    tl.store(sums + channels, tl.sum(squares, axis=0), tl.arange(0, CHANNELS) < channels)


@triton.jit
def _sum_of_partial(partial, which, channels, programs, PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr):  # type: ignore[no-untyped-def]
    program = tl.arange(0, PROGRAMS)[:, None]
    channel = (tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS))[None, :]
    values = tl.load(partial + (program * 2 + which) * channels + channel, (program < programs) & (channel < channels), other=0.0)
    return tl.sum(values, axis=0)


@triton.jit(do_not_specialize=["rows", "programs"])
def statistics(  # type: ignore[no-untyped-def]
    partial, mean, rstd, running_mean, running_var, batches, rows, channels, eps, momentum, programs,
    PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """Writes the mean and the reciprocal standard deviation of a batch, and updates the running statistics."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    mask = channel < channels
    centre = _sum_of_partial(partial, 0, channels, programs, PROGRAMS, CHANNELS) / rows
    variance = _sum_of_partial(partial, 1, channels, programs, PROGRAMS, CHANNELS) / rows - centre * centre
    variance = tl.where(variance < 0, 0.0, variance)
    tl.store(mean + channel, centre, mask)
    tl.store(rstd + channel, tl.rsqrt(variance + eps), mask)
    before = tl.load(running_mean + channel, mask)
    tl.store(running_mean + channel, before + momentum * (centre - before), mask)
    before = tl.load(running_var + channel, mask)
    tl.store(running_var + channel, before + momentum * (variance * rows / (rows - 1) - before), mask)
    if tl.program_id(0) == 0:
        tl.store(batches, tl.load(batches) + 1)


@triton.jit(do_not_specialize=["programs"])
def add_up(partial, sums, channels, programs, PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Writes both sums of `partial`, each over all programs, to `sums`, fp32 [2, channels]."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    for which in tl.static_range(2):
        total = _sum_of_partial(partial, which, channels, programs, PROGRAMS, CHANNELS)
        tl.store(sums + which * channels + channel, total, channel < channels)


@triton.jit(do_not_specialize=["rows", "height", "width"])
def norm_and_activate(  # type: ignore[no-untyped-def]
    x, residual, mean, rstd, bias, out, rows, height, width, channels,
    ACTIVATION: tl.constexpr, POOL: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """Pools x if POOL, normalises it with `mean`, `rstd` and `bias`, adds any residual, and writes the activation to `out`."""
    channel = tl.arange(0, CHANNELS)[None, :]
    known = channel < channels
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    mask = (row < rows) & known
    here = row.to(tl.int64) * channels + channel
    if POOL:
        z, _ = _pool(x, row, channel, height, width, channels, mask, ROWS, CHANNELS)
    else:
        z = tl.load(x + here, mask).to(tl.float32)
    z = (z - tl.load(mean + channel, known)) * tl.load(rstd + channel, known) + tl.load(bias + channel, known)
    if residual is not None:
        z += tl.load(residual + here, mask).to(tl.float32)
    tl.store(out + here, _activate(z, ACTIVATION), mask)


@triton.jit(do_not_specialize=["rows"])
def activation_backward_and_sum(  # type: ignore[no-untyped-def]
    grad, pooled, residual, grad_residual, mean, rstd, bias, partial, rows, channels,
    ACTIVATION: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """Writes the sums of the gradient before the activation, and of its products with the normalised values, to `partial`.
    With a residual, it also writes that gradient to `grad_residual`."""
    channel = tl.arange(0, CHANNELS)[None, :]
    centre = tl.load(mean + channel, channel < channels)
    scale = tl.load(rstd + channel, channel < channels)
    shift = tl.load(bias + channel, channel < channels)
    total = tl.zeros((ROWS, CHANNELS), tl.float32)
    products = tl.zeros((ROWS, CHANNELS), tl.float32)
    for start in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = start + tl.arange(0, ROWS)[:, None]
        mask = (row < rows) & (channel < channels)
        here = row.to(tl.int64) * channels + channel
        normed = (tl.load(pooled + here, mask, other=0.0).to(tl.float32) - centre) * scale
        z = normed + shift
        if residual is not None:
            z += tl.load(residual + here, mask, other=0.0).to(tl.float32)
        before = tl.load(grad + here, mask, other=0.0).to(tl.float32) * _slope(z, ACTIVATION)
        if residual is not None:
            tl.store(grad_residual + here, before, mask)
        total += before
        products += tl.where(mask, before * normed, 0.0)
    sums = partial + tl.program_id(0) * 2 * channels + tl.arange(0, CHANNELS)
    tl.store(sums, tl.sum(total, axis=0), tl.arange(0, CHANNELS) < channels)
    tl.store(sums + channels, tl.sum(products, axis=0), tl.arange(0, CHANNELS) < channels)


@triton.jit(do_not_specialize=["cells", "rows", "height", "width"])
def norm_and_pool_backward(  # type: ignore[no-untyped-def]
    grad, pooled, chosen, mean, rstd, bias, sums, grad_x, cells, rows, height, width, channels,
    ACTIVATION: tl.constexpr, ACTIVATED: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """Writes the gradient of the input of pool and norm to `grad_x`. A cell is a pooled pixel with its four input pixels; pixels
    left over at an odd edge are in cells without a pooled pixel. With ACTIVATED, `grad` is the gradient before the activation."""
    channel = tl.arange(0, CHANNELS)[None, :]
    known = channel < channels
    cell = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    if chosen is not None:
        across = (width + 1) // 2
        down = (height + 1) // 2
        column, line = cell % across, cell // across % down
        image = cell // (across * down)
        row = (image * (height // 2) + line) * (width // 2) + column
        mask = (cell < cells) & (line < height // 2) & (column < width // 2) & known
    else:
        row = cell
        mask = (cell < cells) & known
    here = row.to(tl.int64) * channels + channel
    scale = tl.load(rstd + channel, known)
    normed = (tl.load(pooled + here, mask, other=0.0).to(tl.float32) - tl.load(mean + channel, known)) * scale
    before = tl.load(grad + here, mask, other=0.0).to(tl.float32)
    if not ACTIVATED:
        before *= _slope(normed + tl.load(bias + channel, known), ACTIVATION)
    total = tl.load(sums + channel, known)
    products = tl.load(sums + channels + channel, known)
    value = scale * (before - (total + normed * products) / rows)
    if chosen is not None:
        place = tl.load(chosen + here, mask, other=4)
        corner = ((image * height + line * 2) * width + column * 2).to(tl.int64) * channels + channel
        for k in tl.static_range(4):
            inside = (cell < cells) & (line * 2 + k // 2 < height) & (column * 2 + k % 2 < width) & known
            tl.store(grad_x + corner + (k // 2 * width + k % 2) * channels, tl.where(place == k, value, 0.0), inside)
    else:
        tl.store(grad_x + here, value, mask)


@triton.jit(do_not_specialize=["num_images", "height", "width"])
def patches(  # type: ignore[no-untyped-def]
    images, weight, bias, grad, out, partial, num_images, height, width,
    IN_CHANNELS: tl.constexpr, SIDE: tl.constexpr, FILTERS: tl.constexpr, OUT_CHANNELS: tl.constexpr, ACTIVATION: tl.constexpr,
    LINES: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, PIXELS: tl.constexpr
):  # fmt: skip
    """Writes the activations of patches to `out` or, if `grad` is given, sums of the gradient before the activation to `partial`.
    `out` and `grad` have OUT_CHANNELS, which are zero beyond FILTERS.

    A tile is LINES x COLUMNS patches of an image; COLUMNS is at least the number of patches per line. PIXELS is at least the
    number of values per patch in all channels, and large enough for matrix units.
    """
    channel = tl.arange(0, CHANNELS)[None, :]
    known = channel < FILTERS
    shift = tl.load(bias + channel, known, other=0.0)
    k = tl.arange(0, PIXELS)
    inside = k < IN_CHANNELS * SIDE * SIDE
    filters = tl.load(weight + k[:, None] * FILTERS + channel, inside[:, None] & known, other=0.0)
    offset = (k % (SIDE * SIDE) // SIDE * width + k % SIDE) * IN_CHANNELS + k // (SIDE * SIDE)
    column = (tl.arange(0, LINES * COLUMNS) % COLUMNS)[:, None]
    below = (tl.arange(0, LINES * COLUMNS) // COLUMNS)[:, None]
    lines = height - SIDE + 1
    columns = width - SIDE + 1
    total = tl.zeros((LINES * COLUMNS, CHANNELS), tl.float32)
    for image in range(tl.program_id(0), num_images, tl.num_programs(0)):
        pixels = images + tl.cast(image, tl.int64) * height * width * IN_CHANNELS
        first = tl.cast(image, tl.int64) * lines * columns * OUT_CHANNELS
        for start in range(0, lines, LINES):
            line = start + below
            there = (line < lines) & (column < columns)
            values = tl.load(pixels + (line * width + column) * IN_CHANNELS + offset[None, :], there & inside[None, :], other=0.0)
            z = tl.dot(values, filters, input_precision="tf32") + shift
            here = (line * columns + column) * OUT_CHANNELS + channel
            if grad is not None:
                given = tl.load(grad + first + here, there & known, other=0.0).to(tl.float32)
                total += given * _slope(z, ACTIVATION)
            else:
                tl.store(out + first + here, _activate(z, ACTIVATION), there & (channel < OUT_CHANNELS))
    if grad is not None:
        sums = partial + tl.program_id(0) * 2 * FILTERS + tl.arange(0, CHANNELS)
        tl.store(sums, tl.sum(total, axis=0), tl.arange(0, CHANNELS) < FILTERS)
        tl.store(sums + FILTERS, tl.sum(total, axis=0), tl.arange(0, CHANNELS) < FILTERS)


@triton.jit(do_not_specialize=["num_images", "height", "width"])
def filter_gradient(  # type: ignore[no-untyped-def]
    x, grad, partial, num_images, height, width, IN_CHANNELS: tl.constexpr, X_CHANNELS: tl.constexpr, OUT_CHANNELS: tl.constexpr,
    LINES: tl.constexpr, COLUMNS: tl.constexpr, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr
):  # fmt: skip
    """Writes each program's part of the gradient [out, 3 * 3 * in] of 3x3 filters to `partial`. The filters see the first
    IN_CHANNELS of x, with one pixel of padding.

    A tile is LINES x COLUMNS pixels of an image; COLUMNS is at least the width of the image. OUTPUTS and INPUTS are at least the
    numbers of rows and columns of the gradient.
    """
    output = tl.arange(0, OUTPUTS)
    place = tl.arange(0, INPUTS) // IN_CHANNELS
    shift = ((place // 3 - 1) * width + place % 3 - 1) * X_CHANNELS + tl.arange(0, INPUTS) % IN_CHANNELS
    column = tl.arange(0, LINES * COLUMNS) % COLUMNS
    below = tl.arange(0, LINES * COLUMNS) // COLUMNS
    tiles = (height + LINES - 1) // LINES
    total = tl.zeros((OUTPUTS, INPUTS), tl.float32)
    for tile in range(tl.program_id(0), num_images * tiles, tl.num_programs(0)):
        first = tl.cast(tile // tiles, tl.int64) * height * width
        line = tile % tiles * LINES + below
        here = (line * width + column)[None, :] * OUT_CHANNELS + output[:, None]
        there = ((line < height) & (column < width))[None, :] & (output < OUT_CHANNELS)[:, None]
        given = tl.load(grad + first * OUT_CHANNELS + here, there, other=0.0)
        corner = (line * width + column) * X_CHANNELS
        above = line[:, None] + place[None, :] // 3 - 1
        beside = column[:, None] + place[None, :] % 3 - 1
        inside = (above >= 0) & (above < height) & (beside >= 0) & (beside < width) & (place < 9)[None, :]
        neighbours = tl.load(x + first * X_CHANNELS + corner[:, None] + shift[None, :], inside, other=0.0)
        total = tl.dot(given, neighbours, total, input_precision="tf32")
    here = output[:, None] * (9 * IN_CHANNELS) + tl.arange(0, INPUTS)[None, :]
    known = (output < OUT_CHANNELS)[:, None] & (place < 9)[None, :]
    tl.store(partial + tl.program_id(0) * OUT_CHANNELS * 9 * IN_CHANNELS + here, total, known)
