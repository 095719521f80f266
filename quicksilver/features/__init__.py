"""Order-book, trade-flow and price features, each computed once per event."""

from quicksilver.features.engine import FeatureEngine
from quicksilver.features.spec import FEATURES, FeatureSpec

__all__ = ["FEATURES", "FeatureEngine", "FeatureSpec"]
