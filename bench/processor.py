"""Processor time: how much of it whose processes took. It swings less than time on a clock, which everybody else on the machine lengthens."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

from bench.report import Measures

# Whose: the process that is measured, and the servers.
OWN, BROKER, POSTGRESQL = "own", "broker", "postgresql"

Parties = Mapping[str, Iterable[int]]


@dataclass(frozen=True, slots=True)
class Reading:
    """A moment by `time.perf_counter`; seconds of processor time that each party has taken until then, that nobody has, and that other machines on the same hardware have."""

    at_s: float
    taken_s: Mapping[str, float]
    idle_s: float
    stolen_s: float


def read(parties: Parties) -> Reading:
    """How it stands now, for the processes of each party by id and for all that they have started."""
    whole = psutil.cpu_times()
    taken_s = {party: sum(_family_s(pid) for pid in pids) for party, pids in parties.items()}
    # Only Linux tells what was stolen.
    return Reading(time.perf_counter(), taken_s, whole.idle + whole.iowait, getattr(whole, "steal", 0.0))


def spent(before: Reading, after: Reading, settlements: int) -> Measures:
    """Microseconds of processor time for one settlement, by party; and which part of the processors' time nobody used, and which was not to be had."""
    taken_us = {
        f"cpu_us_{party}": round(1e6 * (taken_s - before.taken_s[party]) / settlements, 1)
        for party, taken_s in after.taken_s.items()
    }
    there_was_s = (psutil.cpu_count() or 1) * (after.at_s - before.at_s)
    return {
        **taken_us,
        "idle_part": round((after.idle_s - before.idle_s) / there_was_s, 3),
        "stolen_part": round((after.stolen_s - before.stolen_s) / there_was_s, 3),
    }


def _family_s(pid: int) -> float:
    """What a process and its descendants have taken; of those that have ended their parents know."""
    with suppress(psutil.NoSuchProcess):
        eldest = psutil.Process(pid)
        return sum(_one_s(each) for each in (eldest, *eldest.children(recursive=True)))
    return 0.0


def _one_s(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        took = process.cpu_times()
        return float(took.user + took.system + took.children_user + took.children_system)
    return 0.0
