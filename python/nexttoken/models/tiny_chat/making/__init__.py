"""How tiny-chat is made: the corpus, the training, the scoring. Nothing here is imported by the library."""
