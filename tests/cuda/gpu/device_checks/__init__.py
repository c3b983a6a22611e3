"""What is run on a real device from Python: one file a subject, `check_python.py` has the list."""
