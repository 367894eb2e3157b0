"""The golden check: the model still gives on fixed images what it gave when it was taken in use."""
