# Python classes: they may stand before any kind of relay, which C types could not.
from smg._speedups.clock cimport perf_counter
