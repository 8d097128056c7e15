"""What is made of a queue that has drained."""

from bench.draining import AGAIN, PUT_ASIDE, Drained, counted, counted_on

PAGE = """\
# HELP gongji_requests_put_aside_total Times that a request had to wait for a held row or a refused answer.
# TYPE gongji_requests_put_aside_total counter
gongji_requests_put_aside_total{queue="gongji.settlement"} 3.0
gongji_requests_put_aside_total{queue="gongji.bulk"} 4.0
# HELP gongji_requests_put_aside_created Times that a request had to wait for a held row or a refused answer.
# TYPE gongji_requests_put_aside_created gauge
gongji_requests_put_aside_created{queue="gongji.settlement"} 1.7e+09
# HELP gongji_batches_again_total Batches decided again, because somebody else was faster or for a deadlock.
# TYPE gongji_batches_again_total counter
gongji_batches_again_total 2.0
# HELP gongji_requests_total Requests answered.
# TYPE gongji_requests_total counter
gongji_requests_total{operation="settle",outcome="settled",reason=""} 20000.0
"""


def test_requests_that_a_worker_puts_aside_are_counted_over_its_queues() -> None:
    assert counted_on(PAGE, PUT_ASIDE) == 7


def test_batches_that_a_worker_decides_again_are_counted() -> None:
    assert counted_on(PAGE, AGAIN) == 2


def test_a_worker_that_has_put_nothing_aside_yet_says_nothing_of_it() -> None:
    assert counted_on("", PUT_ASIDE) == 0


def test_what_must_not_happen_is_counted_in_all_together() -> None:
    drained = [Drained(1, 0.0, 1.0, [], deadlocks=each, again=2, put_aside=3) for each in (0, 1)]

    assert counted(drained) == {"deadlocks": 1, "batches_again": 4, "put_aside": 6}


def test_an_answer_is_told_by_how_long_after_the_beginning_it_came() -> None:
    drained = Drained(2, 100.0, 4.0, [104.0, 101.5], {"cpu_us_own": 9.0})

    assert drained.answered_s == [4.0, 1.5]
    assert drained.measures == {"settlements_per_s": 0.5, "cpu_us_own": 9.0}
