"""Benchmarks: ``make bench`` runs all, ``make bench ARGS=live`` one of them."""
