# Two commands on a fresh machine: `make demo` and `make test`.  Needs Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_DEPS := $(VENV)/.installed
TEST_DEPS := $(VENV)/.installed-torch

.PHONY: demo test test-slow lint bench clean

$(DEMO_DEPS): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "curate needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# PyPI's torch for Linux brings CUDA: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu gives the small build.
$(TEST_DEPS): $(DEMO_DEPS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,proxy]'
	touch $@

demo: $(DEMO_DEPS)
	$(BIN)/curate run examples/web.yaml
	@echo
	@echo "Look at  runs/web-demo/report.html  in a browser, then try:"
	@echo "  $(BIN)/curate inspect web-demo -n 3"
	@echo "  $(BIN)/curate sql web-demo 'select language, count(*) from documents group by 1 order by 2 desc'"
	@echo "  $(BIN)/curate whatif web-demo gopher-quality.min_words=30"

test: $(TEST_DEPS)
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: $(TEST_DEPS)
	$(BIN)/python -m pytest -m slow

lint: $(TEST_DEPS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Measured against named peers in their own environment; see benchmarks/README.md for the data and the peers.
bench: $(DEMO_DEPS)
	@test -n "$(DATA)" || { echo "make bench DATA=folder-with-web-and-text PEER=python-with-datatrove"; exit 2; }
	$(BIN)/python benchmarks/filters.py --data $(DATA) --peer-python $(PEER)
	$(BIN)/python benchmarks/language_id.py --data $(DATA)
	$(BIN)/python benchmarks/extraction.py --data $(DATA)
	$(BIN)/python benchmarks/end_to_end.py --data $(DATA) --peer-python $(PEER)

clean:
	rm -rf $(VENV) runs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
