"""Experience at rest: CALVIN folders, the Zarr store they are packed into, and windows drawn from it."""
