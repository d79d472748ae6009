"""What there is to mix: cells of documents alike in source, category and quality, with their unique tokens.

Public names: `inventory.read_inventory`, `assign.cell_numbers`, `cells.Cells`; they are imported from
their modules, so that the planner does not load DuckDB.
"""
