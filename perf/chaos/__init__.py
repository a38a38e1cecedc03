"""Traffic through a gateway whose workers fail, one at a time: shared by `python -m perf.chaos`,
`python -m perf.soak` and tests/faults/test_chaos.py.
"""
