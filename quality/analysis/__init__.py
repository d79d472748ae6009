"""How good labels and students are: metrics, agreement of judges, validation of the dimensions, and their pages.

`metrics` holds pure functions; `agreement` compares judges on the same documents; `validation` asks which dimensions
are needed; `evaluation_report` draws a student's evaluation.  Each writes one self-contained HTML page and the same
figures as JSON.  `action` holds what `curate quality agreement|validate` do.
"""
