"""Things that tests of several rooms are made of."""
