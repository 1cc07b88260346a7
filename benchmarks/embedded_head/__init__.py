"""Making the embedded model's head: texts to train on, what test collections hold of them, and the fit."""
