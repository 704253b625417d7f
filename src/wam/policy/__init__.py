"""Diffusion policies over action chunks: the network, the denoising process, cloning, the critic."""
