"""What counts as success: tasks, predicates on scene states, segments and starts; needs no simulator."""
