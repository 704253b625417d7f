"""A recurrent state-space world model (DreamerV2) with an optional inverse-dynamics head (WAM)."""
