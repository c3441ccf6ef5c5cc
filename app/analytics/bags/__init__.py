"""The parts of the bag rule: candidates, items, where people were, and who carries a bag.

The rule itself, which reports events, is ``app/analytics/rules/bags.py``.
"""
