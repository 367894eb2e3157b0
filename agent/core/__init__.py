"""What flows between the rooms, and what every room uses."""
