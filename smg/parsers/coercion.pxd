# Compiled because every parameter passes it.
from smg._speedups.text_values cimport (
    compact,
    escaped,
    has_long_number,
    json_stripped,
    plain_value,
    quoted,
    stripped,
)

cpdef str coerce(str raw, str declared, object infer)
cpdef str json_or_text(str raw)
cpdef str json_text(str raw)
cpdef str infer_json(str raw)
