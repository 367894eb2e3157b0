"""How busy the model may be while the box is hot."""
