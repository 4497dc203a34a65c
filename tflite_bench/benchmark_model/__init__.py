"""The program ``benchmark_model``: where it comes from, how it is called, what it prints."""
