"""What a worker counts. Labels are outcomes and reasons, never people."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("gongji_requests_total", "Requests answered.", ["operation", "outcome", "reason"])
REPLAYS = Counter("gongji_replays_total", "Requests answered from their stored decision.", ["operation"])
PUT_ASIDE = Counter(
    "gongji_requests_put_aside_total", "Times that a request had to wait for a held row or a refused answer.", ["queue"]
)
BATCHES_AGAIN = Counter(
    "gongji_batches_again_total", "Batches decided again, because somebody else was faster or for a deadlock."
)
DEAD_LETTERS = Counter("gongji_dead_letters_total", "Messages put aside.", ["cause"])
DEAD_LETTERS_LET_GO = Counter(
    "gongji_dead_letters_let_go_total", "Unreadable messages that the dead letters had no room for.", ["queue"]
)
TRANSFERS_CLOSED = Counter("gongji_transfers_closed_total", "Transfers past their deadline.", ["kind"])
RECHECKS = Counter("gongji_rechecks_total", "Stored decisions that were decided again.", ["result"])
UNDELIVERED = Counter("gongji_answers_undelivered_total", "Answers that no queue took.", ["receipt"])
POSTPONED = Counter("gongji_results_postponed_total", "Results that their queue refused, kept to be published again.")
BATCH_SIZE = Histogram(
    "gongji_batch_requests",
    "Requests decided in one transaction.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000),
)
STAGE_SECONDS = Histogram(
    "gongji_stage_seconds",
    "Time a batch spends in a stage.",
    ["stage"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
WAITING = Gauge("gongji_queue_messages", "Requests, or dead letters, waiting in a queue.", ["queue"])
SESSIONS = Counter("gongji_broker_sessions_total", "Broker sessions begun; all but the first are reconnects.")
PAUSES = Counter("gongji_pauses_total", "Times that consuming stopped because the database was away.", ["queue"])
CONSUMING = Gauge("gongji_consuming", "Lanes that are consuming the queue.", ["queue"])
CLOCK_AHEAD = Gauge("gongji_clock_ahead_seconds", "How far this clock is ahead of PostgreSQL's.")
