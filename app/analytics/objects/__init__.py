"""The parts of the rule for objects in zones and across lines."""
