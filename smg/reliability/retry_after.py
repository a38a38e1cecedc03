"""What a worker's `Retry-After` asks for: seconds, or a date in one of HTTP's three forms.

Read by our own code: the standard library's parser of mail dates accepts far more, and pulls in
sockets. Grammar: RFC 9110 5.6.7 and 10.2.3.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable

NEVER = float("inf")

_MONTHS = {
    name: number
    for number, name in enumerate(
        b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1
    )
}
_TIME = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES = (
    re.compile(rb"[A-Z][a-z]{2}, (?P<day>\d\d) (?P<month>\w{3}) (?P<year>\d{4}) %s GMT" % _TIME),
    re.compile(rb"[A-Z][a-z]{5,8}, (?P<day>\d\d)-(?P<month>\w{3})-(?P<year>\d\d) %s GMT" % _TIME),
    re.compile(rb"[A-Z][a-z]{2} (?P<month>\w{3}) (?P<day>[ \d]\d) %s (?P<year>\d{4})" % _TIME),
)


def retry_after(
    headers: Iterable[tuple[bytes, bytes]], now_wall: float, cap: float = NEVER
) -> float:
    """Seconds that the first `Retry-After` asks to wait, not below 0.

    Names are lower-case. 0 without the header or when it cannot be read; infinite above `cap`
    seconds. `now_wall` is in seconds since 1970, for dates.
    """
    for name, value in headers:
        if name == b"retry-after":
            seconds = _seconds(value.strip(b" \t"), now_wall)
            return seconds if seconds <= cap else NEVER
    return 0.0


def _seconds(value: bytes, now_wall: float) -> float:
    if value.isdigit():
        # Nobody counts further; more digits only cost time.
        return float(value) if len(value) <= 12 else NEVER
    when = http_date(value)
    return 0.0 if when is None else max(0.0, when - now_wall)


def http_date(value: bytes) -> float | None:
    """A date in seconds since 1970; None if it is none."""
    for form in _DATES:
        match = form.fullmatch(value)
        if match is not None:
            break
    else:
        return None
    month = _MONTHS.get(match["month"])
    day, year = int(match["day"]), int(match["year"])
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    if len(match["year"]) == 2:
        # The obsolete form; nobody asks to wait for half a century, so no sliding window is needed.
        year += 1900 if year >= 70 else 2000
    if month is None or year < 1970 or hour > 23 or minute > 59 or second > 60:
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))
