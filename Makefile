# Targets: lib demo test docs asan tsan fuzz soak bench lint wheel deb sbom abi test-release install install-r clean.
# Each target builds its prerequisites first.

PYTHON ?= python3
PREFIX ?= /usr/local
VERSION := 1.0.0

define NEWLINE


endef

# By default, the widest x86-64 level that this machine supports. Set COVERTREE_CPU to build for another.
CPUINFO := $(shell grep -m1 '^flags' /proc/cpuinfo 2>/dev/null)
ifneq ($(shell uname -m),x86_64)
COVERTREE_CPU ?= generic
else ifeq ($(filter-out $(CPUINFO),avx512f avx512bw avx512cd avx512dq avx512vl),)
COVERTREE_CPU ?= x86-64-v4
else ifeq ($(filter-out $(CPUINFO),avx2 fma bmi2),)
COVERTREE_CPU ?= x86-64-v3
else
COVERTREE_CPU ?= x86-64-v2
endif
export COVERTREE_CPU

LIBRARY := build/lib/libcovertree.so
HEADERS := include/covertree.h include/covertree_partitions.h
SOURCES := Package.swift $(HEADERS) include/module.modulemap $(shell find Sources -type f)
PACKAGE := $(shell find python -name '*.py' -not -path '*/tests/*' -o -path '*/src/*.html') python/pyproject.toml
VENV := .venv
IN_VENV := $(VENV)/bin/python

.PHONY: lib levels demo test built environment swift-tests test-swift test-c test-python test-first-half test-second-half test-processes test-examples test-docs test-r docs tsan soak bench lint format wheel deb abi asan fuzz sbom test-release install install-levels install-r clean

lib: $(LIBRARY)

# Swift, and the header of the system's SQLite, which durable stores use.
build/sqlite:
	@scripts/need-sqlite
	@mkdir -p build && touch $@

# SwiftPM does not notice changes of headers that Swift imports.
build/headers: $(HEADERS) $(wildcard Sources/CNumerics/*.h)
	touch Sources/CovertreeBase/Memory/Buffer.swift Sources/CovertreeFiles/Checksum.swift Sources/Covertree/Numerics/Scalar.swift \
	  Sources/CovertreeStore/StoreRows.swift Sources/CABI/Arguments.swift
	@mkdir -p build && touch $@

# The library for one level. Each level has its own folder, so that switching levels does not rebuild.
build/levels/%/libcovertree.so: $(SOURCES) build/sqlite build/headers
	@scripts/need-swift && scripts/need-commands strip readelf
	COVERTREE_CPU=$* swift build -c release --product covertree --disable-local-rpath --scratch-path .build/$*
	@mkdir -p $(@D)
	cp .build/$*/release/libcovertree.so $@.new && scripts/strip $@.new && mv $@.new $@

.PRECIOUS: build/levels/%/libcovertree.so

# This stamp changes with the level, so that $(LIBRARY) is copied again.
build/cpu-$(COVERTREE_CPU):
	@mkdir -p build && rm -f build/cpu-* && touch $@

$(LIBRARY): build/levels/$(COVERTREE_CPU)/libcovertree.so build/cpu-$(COVERTREE_CPU)
	@mkdir -p $(@D)
	cp $< $@.new && mv $@.new $@

# The levels in a package. Every machine supports the first; ld.so loads the highest that the machine supports.
LEVELS := x86-64-v2 x86-64-v3 x86-64-v4

levels: $(LEVELS:%=build/levels/%/libcovertree.so)

# The Python environment: one stamp for each group of packages, and one for covertreex itself.
$(IN_VENV):
	@scripts/make-venv "$(PYTHON)" $(VENV)

build/venv-%: python/requirements-%.txt | $(IN_VENV)
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check -r $<
	@mkdir -p build && touch $@

# Missing tools are detected before the build, which takes minutes.
build/installed: build/sqlite build/venv-build $(LIBRARY) $(PACKAGE)
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall ./python
	@touch $@

# Neighbours of airports, checked, and then a Gaussian process of their elevations: its fit, its scores on airports that were held
# out, and a map with the uncertainty.
demo: build/installed build/venv-demo
	@$(IN_VENV) examples/python/vecchia.py
	@echo
	@$(IN_VENV) examples/python/elevation.py

# Two at a time, because most of them use one thread or wait for the disk; the longest first. swift-tests has nothing left to do: it comes
# first so that nothing waits for it.
test: built
	@$(MAKE) --no-print-directory -j2 --output-sync=target swift-tests test-first-half test-second-half test-c test-processes test-swift \
	  test-examples test-docs test-r abi

# A test opens a report in it.
build/browser: build/sqlite
	@scripts/need-commands chromium
	@touch $@

# The library and the Swift tests are built in parallel: each takes minutes of a single thread. What tests need is installed meanwhile. At
# the end all is ready that the longest tests need, so that make starts these first.
built: build/sqlite
	@$(MAKE) --no-print-directory -j3 lib swift-tests environment
	@$(MAKE) --no-print-directory build/installed

environment: build/browser
	@scripts/need-r
	@$(MAKE) --no-print-directory build/venv-test

# Swift tests, and the library of the same build, which runs with valgrind. valgrind does not support AVX-512, so both are for -v3 at
# most. The tests of Python and C run the library for this machine.
SWIFT_TESTS := -c release -Xswiftc -enable-testing --disable-local-rpath
TESTED_CPU := $(COVERTREE_CPU:x86-64-v4=x86-64-v3)

swift-tests: build/sqlite build/headers
	@scripts/need-swift
	COVERTREE_CPU=$(TESTED_CPU) swift build --build-tests $(SWIFT_TESTS) --scratch-path .build/test

test-swift: swift-tests
	COVERTREE_CPU=$(TESTED_CPU) swift test --skip-build $(SWIFT_TESTS) --scratch-path .build/test

# Swift tests and C programs with the sanitizers. XCTest is disabled: the tests do not use it, and it leaks.
build/address/libcovertree.so.1 build/thread/libcovertree.so.1: $(SOURCES) build/sqlite build/headers
	scripts/sanitized $(notdir $(@D))

asan: build/address/libcovertree.so.1
	SWIFT_BACKTRACE=enable=no swift test $(SWIFT_TESTS) --disable-xctest --sanitize=address --scratch-path .build/asan
	scripts/test-sanitized address

tsan: build/thread/libcovertree.so.1
	SWIFT_BACKTRACE=enable=no TSAN_OPTIONS=suppressions=$(CURDIR)/Tests/c/tsan.supp \
	  swift test $(SWIFT_TESTS) --disable-xctest --sanitize=thread --scratch-path .build/tsan
	scripts/test-sanitized thread

# Each fuzzer runs for this number of seconds.
FUZZ_SECONDS ?= 600

fuzz: build/address/libcovertree.so.1 build/installed
	scripts/fuzz $(FUZZ_SECONDS)

# Compare the ABI with the ABI of the last release.
abi: $(LIBRARY)
	scripts/abi

test-c: $(LIBRARY) swift-tests
	scripts/test-c

# The R package: R CMD check with its tests, and its memory.
test-r: $(LIBRARY) swift-tests
	scripts/test-r

# Tests of files, stores and clusters wait for processes and the disk, so they run in parallel with the others.
PROCESSES := $(wildcard python/tests/test_dask*.py python/tests/test_files.py python/tests/test_powerloss.py python/tests/test_store*.py)
# The others are in two halves of about the same length, which run in parallel too.
SECOND := $(filter-out $(PROCESSES),$(wildcard python/tests/test_[i-u]*.py))

test-python: test-first-half test-second-half test-processes

test-first-half: build/browser build/installed build/venv-test
	$(IN_VENV) -m pytest python $(PROCESSES:%=--ignore=%) $(SECOND:%=--ignore=%)

test-second-half: build/browser build/installed build/venv-test
	$(IN_VENV) -m pytest $(SECOND)

test-processes: build/installed build/venv-test
	$(IN_VENV) -m pytest $(PROCESSES)

test-examples: build/installed build/venv-test
	scripts/test-examples

# Run every code block of docs/ in a copy. `docs` then builds the pages, with the pictures that the blocks draw, in build/site.
test-docs: build/installed build/venv-test
	scripts/test-docs

docs: test-docs build/venv-docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet
	@echo "build/site/index.html"

# Long tests: 64 threads for ten minutes, ten thousand rounds of building and freeing, a writer killed 200 times, and 100,000 disks
# after simulated power failures.
SOAK_THREADS ?= 64
SOAK_SECONDS ?= 600

soak: build/installed build/venv-test
	scripts/test-soak $(SOAK_THREADS) $(SOAK_SECONDS)
	COVERTREE_KILL_ROUNDS=200 $(IN_VENV) -m pytest python/tests/test_store_faults.py -k killed
	COVERTREE_POWER_STATES=100000 $(IN_VENV) -m pytest python/tests/test_powerloss.py

bench: build/installed build/venv-bench
	$(IN_VENV) benchmarks/euclidean.py
	$(IN_VENV) benchmarks/jobs.py
	$(IN_VENV) benchmarks/changes.py
	$(IN_VENV) benchmarks/growth.py
	$(IN_VENV) benchmarks/residual.py
	$(IN_VENV) benchmarks/residual_radius.py
	$(IN_VENV) benchmarks/residual_filters.py
	$(IN_VENV) benchmarks/vif.py
	$(IN_VENV) benchmarks/regression.py
	$(IN_VENV) benchmarks/choosing.py
	$(IN_VENV) benchmarks/domains.py
	$(IN_VENV) benchmarks/hybrid.py
	$(IN_VENV) benchmarks/files.py
	$(IN_VENV) benchmarks/indexes.py
	$(IN_VENV) benchmarks/orders.py
	$(IN_VENV) benchmarks/pairs.py
	$(IN_VENV) benchmarks/filters.py
	$(IN_VENV) benchmarks/own_metrics.py
	$(IN_VENV) benchmarks/own_pairs.py
	$(IN_VENV) benchmarks/store.py
	$(IN_VENV) benchmarks/metrics.py
	$(IN_VENV) benchmarks/machines.py
	$(IN_VENV) benchmarks/machines_visits.py
	$(IN_VENV) benchmarks/machines.py --mapped
	$(IN_VENV) benchmarks/machines_vif.py
	scripts/bench-r

lint: build/venv-lint
	@scripts/need-swift
	swift format lint --strict --recursive Package.swift Sources Tests
	scripts/check-layers
	$(VENV)/bin/ruff check python benchmarks docs/_tools.py examples fuzz scripts/check-layers scripts/run-docs scripts/sbom
	$(VENV)/bin/ruff format --check python benchmarks docs/_tools.py examples fuzz scripts/check-layers scripts/run-docs scripts/sbom
	cd python && ../$(VENV)/bin/mypy
	cd python && PYTHONPATH=src ../$(VENV)/bin/lint-imports --no-cache

format: build/venv-lint
	@scripts/need-swift
	swift format --in-place --recursive Package.swift Sources Tests
	$(VENV)/bin/ruff check --fix --quiet python benchmarks docs/_tools.py examples fuzz scripts/check-layers scripts/run-docs scripts/sbom
	$(VENV)/bin/ruff format python benchmarks docs/_tools.py examples fuzz scripts/check-layers scripts/run-docs scripts/sbom

# A wheel with the library for each level, and SQLite, for any Linux whose C library is at least as new as this machine's.
wheel: levels build/venv-build build/venv-wheel
	rm -rf build/wheel
	COVERTREE_LEVELS="$(LEVELS)" $(IN_VENV) -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps \
	  --wheel-dir build/wheel ./python
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" auditwheel repair --wheel-dir dist build/wheel/*.whl

LIBDIR ?= $(PREFIX)/lib

# $(call install-library,FILE,FOLDER below LIBDIR)
define install-library
install -D -m 644 $(1) $(DESTDIR)$(LIBDIR)$(2)/libcovertree.so.$(VERSION)
ln -sf libcovertree.so.$(VERSION) $(DESTDIR)$(LIBDIR)$(2)/libcovertree.so.1
endef

define install-headers
ln -sf libcovertree.so.1 $(DESTDIR)$(LIBDIR)/libcovertree.so
install -d $(DESTDIR)$(PREFIX)/include
install -m 644 $(HEADERS) $(DESTDIR)$(PREFIX)/include
install -d $(DESTDIR)$(LIBDIR)/pkgconfig
sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' scripts/covertree.pc.in \
  > $(DESTDIR)$(LIBDIR)/pkgconfig/covertree.pc
endef

install: $(LIBRARY)
	$(call install-library,$(LIBRARY))
	$(install-headers)

# For any machine: ld.so finds the higher levels in glibc-hwcaps.
install-levels: levels
	$(call install-library,build/levels/$(firstword $(LEVELS))/libcovertree.so)
	$(foreach level,$(wordlist 2,9,$(LEVELS)),$(call install-library,build/levels/$(level)/libcovertree.so,/glibc-hwcaps/$(level))$(NEWLINE)	)
	$(install-headers)

# The library, and the R package over it, in R's library.
install-r: install
	@scripts/need-commands R gcc pkg-config
	PKG_CONFIG_PATH="$(LIBDIR)/pkgconfig" R CMD INSTALL r

# Tests of a release, in addition to `make test`: builds for other processors, reproducible bytes, packages in bare environments.
test-release: wheel deb
	scripts/test-levels
	scripts/test-arm
	scripts/test-reproducible
	scripts/test-wheel dist/covertreex-$(VERSION)-*.whl
	scripts/test-debian dist/covertreex-$(VERSION)-*.whl dist/libcovertree*_$(VERSION)-*.deb

# The components of the library, in CycloneDX.
sbom: $(LIBRARY)
	@mkdir -p dist
	scripts/sbom $(LIBRARY) $(VERSION) > dist/covertree-$(VERSION).cdx.json

# Debian packages, in dist/.
deb: levels
	scripts/deb

clean:
	rm -rf .build build dist $(VENV)
