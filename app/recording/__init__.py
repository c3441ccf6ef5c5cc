"""Recording jobs: sources to video files, schedules, retention."""
