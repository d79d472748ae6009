"""What finished proxy runs say about mixes that nobody has run.

Each task's loss is predicted from the weights of the sources (`models`, `exponential`), by the model that
cross-validation over the given runs finds best (`choose`); the weighted mean of the tasks is the target
(`fitted`).  `propose` then looks for the best mix, the best one that caps and floors allow, and the runs that
would teach most.  `action` does all of it from files.
"""
