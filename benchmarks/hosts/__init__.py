"""What sampling costs inside each runtime: its own and ours, on one model, in turns. See `__main__`."""
