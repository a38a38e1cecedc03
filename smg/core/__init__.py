"""Small stable pieces everything may use; imports nothing else of ours."""
