# What the parsers call without going through Python.

cpdef str plain_value(str raw, bint pythons)
cpdef str compact(str text)
cpdef str stripped(str raw)
cpdef str json_stripped(str raw)
cpdef str quoted(str raw)
cpdef str member_text(str before, str key, str value)
cpdef str escaped(str raw)
cpdef bint has_long_number(str text) noexcept
