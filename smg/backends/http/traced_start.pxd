# Functions only: compiled because every request passes them while traces are on.
