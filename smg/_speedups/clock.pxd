# What other compiled modules may call without going through Python.
cpdef double perf_counter() except? -1.0
cpdef double wall_clock() noexcept
