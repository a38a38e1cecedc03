# What other compiled modules may call without going through Python.
cpdef bytes request_head(bytes prefix, list headers, frozenset names, bytes request_id, bytes authorization,
                         bint keep_credential, Py_ssize_t length)
cpdef bytes length_line(Py_ssize_t length)
cpdef Py_ssize_t query_mark(bytes target) noexcept
