"""Runtimes that compute a model's towers: torch on any device, OpenVINO on a CPU.

`loading` chooses one; `torch_towers` and `openvino_towers` run the towers; `convert` turns open_clip networks into
OpenVINO graphs and checks them, `model_cache` keeps those in the user's cache folder, `bundled` reads those of the
built-in model. May import the rest of `service.encoder`, except `encoder` and `library_encoders`; torch and OpenVINO
only inside functions.
"""
