"""At which numbers of channels a layer becomes faster: single layers, how their latencies step, and the sweep."""
