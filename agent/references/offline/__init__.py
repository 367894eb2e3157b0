"""References without a live camera: from data sets, merged over a fleet, compared."""
