"""The golden check: does the model give the same results on fixed images as when it was first used?"""
