"""HTTP and WebSockets: one router a file. Routers translate; the manager does."""
