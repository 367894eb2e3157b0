"""What a subscriber checks: schemas, gaps, duplicates, order."""
