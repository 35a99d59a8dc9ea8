"""What a model is trained to make small, to be imported from this room."""

__all__ = []
