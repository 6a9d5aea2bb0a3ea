"""Of what was measured, how it is compared and written."""


def ratio(figures, above, below):
    """Of two cells, each a row and a column; nothing if one was not measured."""
    top, bottom = figures.median(*above), figures.median(*below)
    return top / bottom if top and bottom else None


def divided(value, divisor):
    return None if value is None else value / divisor


def cell(figures, row, column, times=None):
    rate = figures.median(row, column)
    if rate is None:
        return "-"
    latency = figures.median(row, column, "p50_ms")
    return f"{rate:,.0f} ({latency:.2f} ms)" + (f" x{times:.2f}" if times else "")
