"""What runs inside a stream processor: machines that take messages of a key, and give messages; no engine in sight."""
