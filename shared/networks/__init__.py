"""The networks, sans I/O: each folder holds both directions of one network, bytes in and values out."""
