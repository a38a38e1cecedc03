# What other compiled modules may call without going through Python.
cpdef str json_line(bytes stamp, int milliseconds, bytes middle, bytes request_id, long status, long long latency)
