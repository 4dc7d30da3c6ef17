"""A site's own cases become a model package: cohort, fit, validation, package, report (extra ``train``).

A cohort is studies, which the node reads as it reads any, and a table of tissue results. Everything that looks at the
labels happens inside the folds of a cross-validation that splits by patient; set-ups that leak are refused by name.
What comes out is an ordinary package; so does a network that nnU-Net trained elsewhere (``nnunet``, extra ``nnunet``).
Nothing here runs when the node reads a study, and nothing above may be imported.
"""
