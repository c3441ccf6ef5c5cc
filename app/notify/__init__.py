"""What tells people and other systems: the outbox is worked off here, one worker a target."""
