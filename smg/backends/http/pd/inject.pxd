# Functions only: compiled because every request to a pair calls some of them.
