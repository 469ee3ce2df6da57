"""The harness behind bench/run and bench/day. Python's standard library only."""
