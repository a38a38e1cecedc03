# Every request calls one of these: compiled, and callable without going through Python.

cpdef bytes status_line(int status)
cpdef bytes chunk(bytes data)
