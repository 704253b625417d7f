"""Fine-tuning: imagined and simulated environments, advantages, diffusion policy gradients."""
