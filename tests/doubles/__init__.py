"""Stand-ins for what surrounds the gateway: clients, workers, a bad network, and the gateway itself
as a fixture.
"""
