"""Fine-tuning in imagination: the imagined environment, advantages, diffusion policy gradients."""
