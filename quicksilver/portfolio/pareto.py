"""Which portfolios none beats."""

from quicksilver.events import FloatArray


def rising(points: list[tuple[float, float, FloatArray]]) -> list[tuple[float, float, FloatArray]]:
    """Keep the points (risk, mean, weights) that no calmer one equals in mean, by rising risk."""
    kept: list[tuple[float, float, FloatArray]] = []
    for point in sorted(points, key=lambda one: (one[0], -one[1])):
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    return kept
