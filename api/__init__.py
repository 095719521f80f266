"""REST and websocket over the bus and the store."""
