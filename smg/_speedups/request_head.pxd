# What other compiled modules may call without going through Python.
cpdef bytes request_head(bytes prefix, list headers, frozenset names, bytes request_id, bytes authorization,
                         bint keep_credential, Py_ssize_t length)
