"""What runs a compiled program: plans, threads, artifacts, and the object that users call."""
