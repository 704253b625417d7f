"""One small map over pieces of work in local processes, and the progress bar that every long loop shows."""
