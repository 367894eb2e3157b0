"""placeholder while prototyping"""
