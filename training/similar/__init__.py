"""`smysl train similar`: fits a head, which brings photographs of one kind close together, on labelled photographs.

`feature_sources.py` encodes each photograph in several views, `splits.py` makes cross-validation splits,
`projections.py` fits the candidates, `tower_training.py` trains the last stages of a photograph tower, `candidates.py`
compares the candidates, `ensemble.py` weights several encoders, `head_calibration.py` calibrates, and `train_head.py`
runs it all and writes the head.
"""
