"""Machine-learning models (networks), never database tables."""
