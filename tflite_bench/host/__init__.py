"""This machine as a device, by the LiteRT interpreter in this process."""
