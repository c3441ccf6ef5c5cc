"""What is understood of frames: motion, tracks, identities, left objects, rules."""
