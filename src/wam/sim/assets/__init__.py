"""What the simulator is made of: our own table and low-polygon Franka, or CALVIN's data folder."""
