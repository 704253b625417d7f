"""One folder a stage: ``nodes.py`` adapts the library to the catalog, ``pipeline.py`` wires the nodes."""
