"""What the bag rule is made of: places, items, where people were, who carries what.

The rule itself, which reports events, is ``app/analytics/rules/bags.py``.
"""
