"""The work engine: requests, leases, workers' contexts, results, due times. It knows no DRS.

Read `context.py` for what a worker sees, `runner.py` for how work begins and ends, `domain/kinds.py` for the kinds.
"""
