"""Tables, plots and pages from results. Knows data frames and bytes, not where they are kept."""
