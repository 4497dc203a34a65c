"""From measured numbers to a table, plots and one HTML file."""
