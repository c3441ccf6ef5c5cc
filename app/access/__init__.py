"""Who callers are: passwords, sessions, API tokens, and how fast they may be guessed."""
