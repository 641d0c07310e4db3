"""What would happen, without anything happening: policies explained and simulated by running them."""

from .application.assembly import MAX_HOLD
from .application.prospects import EVENTS, Crash, Prospect, Stretch, crash, limits_of, prospects
from .domain.course import FAILED, LONGEST, SHORTEST, Premises, Step, course, horizon, step
from .domain.policy import fit
from .domain.simulation import Life, Simulation, Workload, quantile, simulate

__all__ = [
    "EVENTS",
    "FAILED",
    "LONGEST",
    "MAX_HOLD",
    "SHORTEST",
    "Crash",
    "Life",
    "Premises",
    "Prospect",
    "Simulation",
    "Step",
    "Stretch",
    "Workload",
    "course",
    "crash",
    "fit",
    "horizon",
    "limits_of",
    "prospects",
    "quantile",
    "simulate",
    "step",
]
