"""A model and a text -> what can be said about the model itself: so far, its attention."""
