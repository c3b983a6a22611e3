"""One module per skill; each makes exchanges (a user text and its answer) from a random generator."""
