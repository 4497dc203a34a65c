"""A phone as a device: what it is, who uses it, what is put on it, and what is put back."""
