"""The adb client: how it is called, what it prints, one phone through it."""
