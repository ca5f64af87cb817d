"""A counter in the database: one table, one page."""
