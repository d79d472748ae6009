"""What is judged: the rubric as data, the request made from it, the reply's schema and its strict reading.

The rubric is a versioned YAML file; prompt, JSON schema and the columns of a label table follow from it.
Nothing here talks to a network.
"""
