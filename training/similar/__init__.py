"""`smysl train similar`: a head in which photographs of a kind are near, fitted on photographs sorted by kind.

`material.py` has the features of a few views of each photograph, `splits.py` says who is fitted on and who asks,
`looks.py` fits the candidates, `tower.py` trains the last stages of a photograph tower, `choice.py` compares them
all on the same folds and chooses, `run.py` does the whole and writes the head.
"""
