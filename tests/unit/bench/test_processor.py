"""Processor time: whose, and how much of it for one settlement."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from bench.processor import Reading, read, spent


def test_processor_time_is_told_for_one_settlement_and_what_nobody_used_as_a_part() -> None:
    cores = psutil.cpu_count() or 1
    before = Reading(10.0, {"own": 1.0, "broker": 5.0}, idle_s=100.0, stolen_s=7.0)
    after = Reading(14.0, {"own": 3.0, "broker": 6.0}, idle_s=100.0 + cores, stolen_s=7.0 + cores / 2)

    assert spent(before, after, 20_000) == {
        "cpu_us_own": 100.0,
        "cpu_us_broker": 50.0,
        "idle_part": 0.25,
        "stolen_part": 0.125,
    }


# Takes 0.3 s of processor time, says so, and waits to be told to end.
BUSY = """
import sys, time
while time.process_time() < 0.3: pass
print(flush=True)
sys.stdin.read()
"""


def test_what_a_process_takes_is_counted_whether_it_still_runs_or_has_ended() -> None:
    """A session of PostgreSQL, say, that ends in between."""
    before = read({"own": [os.getpid()]})

    subprocess.run([sys.executable, "-c", BUSY], check=True, stdin=subprocess.DEVNULL)

    taken_s = read({"own": [os.getpid()]}).taken_s["own"] - before.taken_s["own"]
    assert taken_s >= 0.25


def test_what_a_process_takes_is_counted_while_it_runs() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()

        taken_s = read({"own": [process.pid]}).taken_s["own"]

    assert taken_s >= 0.25


def test_who_is_not_there_has_taken_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    assert read({"own": [gone.pid]}).taken_s == {"own": 0.0}


def test_a_reading_is_of_now() -> None:
    before = time.perf_counter()

    reading = read({})

    assert before <= reading.at_s <= time.perf_counter()
    assert reading.idle_s == pytest.approx(psutil.cpu_times().idle + psutil.cpu_times().iowait, abs=10)
