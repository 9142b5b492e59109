"""What calibration sees at every site of the float graph: peaks, histograms, and the ranges taken from them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intref.errors import BoundError, SpecError
from intref.quantize.graph import FloatModel
from intref.quantize.scales import symmetric_range

BINS = 1 << 14  # of |x| between 0 and the site's peak
OBSERVERS = ("minmax", "percentile", "mse")
Floats = NDArray[Any]
Progress = Callable[[str, int, int], None]  # what, done, total


@dataclass
class Site:
    """channels: max |x| along the last axis [D]. squares: the largest sum of a centered row's. low, high: of x."""

    channels: Floats
    squares: float = 0.0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    low: float = 0.0
    high: float = 0.0

    @property
    def peak(self) -> float:
        return float(self.channels.max())


class Ranges:
    """Ranges of every site, over attended tokens only."""

    def __init__(self, sites: dict[str, Site]):
        self.sites = sites

    def peak(self, site: str) -> float:
        return self.sites[site].peak

    def span(self, site: str) -> tuple[float, float]:
        """The least and the greatest value, and 0 between them."""
        return self.sites[site].low, self.sites[site].high

    def heads(self, site: str, heads: int) -> Floats:
        """max |x| of each head: [H]."""
        return self.sites[site].channels.reshape(heads, -1).max(axis=1).astype(np.float64)

    def squares(self, site: str) -> float:
        return self.sites[site].squares

    def clip(self, site: str, observer: str, percentile: float, bits: int) -> float:
        """The range [-clip, clip] that an observer takes for an integer of `bits` bits."""
        seen = self.sites[site]
        if observer == "minmax" or not seen.counts.any():
            return seen.peak
        if observer == "percentile":
            total = np.cumsum(seen.counts)
            return seen.peak * (int(np.searchsorted(total, total[-1] * percentile / 100)) + 1) / BINS
        return _least_square_error(seen, bits)


def _least_square_error(seen: Site, bits: int) -> float:
    """The clip with the least squared error of rounding and clipping, of 100 evenly spaced ones."""
    centre = (np.arange(BINS) + 0.5) * seen.peak / BINS
    best = (np.inf, seen.peak)
    for clip in np.linspace(seen.peak / 100, seen.peak, 100):
        step = clip / symmetric_range(bits)
        error = np.minimum(np.rint(centre / step), symmetric_range(bits)) * step - centre
        best = min(best, (float(np.dot(seen.counts, error * error)), float(clip)))
    return best[1]


def observe(model: FloatModel, batches: Iterable[Mapping[str, Any]], histograms: bool, progress: Progress) -> Ranges:
    """Run the float graph over the batches, once for peaks and, if asked for, once more for histograms."""
    batches = list(batches)
    if not batches:
        raise SpecError("calibration: expected at least one batch of token ids, found none")
    sites: dict[str, Site] = {}
    for i, batch in enumerate(batches):
        with np.errstate(over="ignore", invalid="ignore"):  # named below, site by site
            model.run(batch, lambda site, x, mask: _see_peaks(sites, site, x, mask))
        progress("calibrate: ranges", i + 1, len(batches))
    if "emb.norm" not in sites:
        raise SpecError("calibration: expected at least one attended token, found none")
    for i, batch in enumerate(batches if histograms else ()):
        model.run(batch, lambda site, x, mask: _see_counts(sites, site, x, mask))
        progress("calibrate: histograms", i + 1, len(batches))
    return Ranges(sites)


def _attended(x: Floats, mask: NDArray[np.int8]) -> Floats:
    """Rows [N D] of attended tokens; a site without a token axis has one row a sequence, scores have rows of one."""
    if x.ndim == 4:  # [B H Tq Tk]
        both = (mask[:, None, :, None] != 0) & (mask[:, None, None, :] != 0)
        return x[np.broadcast_to(both, x.shape)][:, None]
    if x.ndim == 3:
        return x[mask != 0]
    return x.reshape(-1, x.shape[-1])


def _see_peaks(sites: dict[str, Site], site: str, x: Floats, mask: NDArray[np.int8]) -> None:
    rows = _attended(x, mask)
    if not len(rows):
        return
    peaks = np.abs(rows).max(axis=0)
    if not np.isfinite(peaks).all():
        raise BoundError(f"calibration: node {site}: the float model gives values that are not finite")
    seen = sites.setdefault(site, Site(np.zeros(rows.shape[1])))
    seen.channels = np.maximum(seen.channels, peaks)
    seen.low, seen.high = min(seen.low, float(rows.min())), max(seen.high, float(rows.max()))
    if site.endswith(".sum"):
        centered = rows.astype(np.float64) - rows.mean(axis=1, keepdims=True)
        seen.squares = max(seen.squares, float((centered * centered).sum(axis=1).max()))


def _see_counts(sites: dict[str, Site], site: str, x: Floats, mask: NDArray[np.int8]) -> None:
    if site not in sites or not sites[site].peak:
        return
    seen = sites[site]
    bins = np.minimum(np.abs(_attended(x, mask)) * (BINS / seen.peak), BINS - 1).astype(np.int64)
    seen.counts += np.bincount(bins.ravel(), minlength=BINS)
