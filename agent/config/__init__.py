"""The configuration file: fields, their schema, conversion, loading and rendering."""
