"""What earlier runs did: manifest, survey, status."""
