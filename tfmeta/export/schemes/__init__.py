"""One quantization scheme per file; ``tfmeta.export.SCHEMES`` names them."""
