"""What the rule about bags is made of: places, items, who was where, who carries what.

The rule itself, which tells events, is ``pipeline/rules/bags.py``.
"""
