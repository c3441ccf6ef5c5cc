"""Over real HTTP and real RTSP, from start to end."""
