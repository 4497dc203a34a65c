"""From blocks of times to a measurement, its interval and its verdict. Pure."""
