# cython: language_level=3
"""`time.perf_counter` for compiled modules: the same clock, read without a call through Python and without a float
object. A request reads it half a dozen times.
"""

import sys
import time

from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

# Elsewhere `time.perf_counter` may be another clock, and moments of both are compared.
cdef bint NATIVE = sys.platform == "linux"
cdef object asked = time.perf_counter


cpdef double perf_counter() except? -1.0:
    """Seconds since some moment; for differences only."""
    cdef timespec moment
    if not NATIVE:
        return asked()
    clock_gettime(CLOCK_MONOTONIC, &moment)
    # As Python divides: moments of both compare exactly.
    return <double>(<long long>moment.tv_sec * 1_000_000_000 + moment.tv_nsec) / 1e9


cpdef double wall_clock() noexcept:
    """As `time.time`: seconds since 1970."""
    cdef timespec moment
    clock_gettime(CLOCK_REALTIME, &moment)
    return <double>(<long long>moment.tv_sec * 1_000_000_000 + moment.tv_nsec) / 1e9
