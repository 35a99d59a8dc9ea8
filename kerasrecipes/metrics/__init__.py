"""What a model is judged by, to be imported from this room."""

__all__ = []
