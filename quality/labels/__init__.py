"""Label tables: one row per judged document and judge, their files, other people's labels, and joins with texts."""
