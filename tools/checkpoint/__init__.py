"""Hugging Face checkpoints: what the architectures hold, generated values, files."""
