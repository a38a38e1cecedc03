# Functions only: compiled because every request calls one of them.
