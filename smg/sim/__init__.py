"""The simulated engine: an OpenAI-compatible worker without a model.

It answers with deterministic text, models the cost of prefill, prefix cache and decoding, and
misbehaves on request. `python -m smg.sim` runs one worker; nothing here knows the gateway above
`smg.server`.
"""
