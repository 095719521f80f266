"""A seeded exchange that speaks the Kraken v2 protocol on a local websocket."""
