"""What the bookkeeper counts. Labels are kinds of things, never people."""

from prometheus_client import Counter, Gauge

SEALED = Counter("gongji_sealed_total", "Decisions and unasked movements sealed into the chain.")
UNSEALED_PAGES = Gauge("gongji_unsealed_pages", "Transactions whose movements have not been sealed yet.")
EVENTS = Counter("gongji_events_total", "Events published.", ["event"])
CLOSED_DAYS = Counter("gongji_closed_days_total", "Days of provinces closed for clearing.")
MONTHS = Counter("gongji_months_prepared_total", "Months for which partitions were made.")
FAILED_ROUNDS = Counter("gongji_failed_rounds_total", "Rounds of a duty that could not be finished.", ["duty"])
