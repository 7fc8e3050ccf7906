# A thin door to CMake and tools/: every target says what it runs, none holds logic of its own.
# Build folders are build/<preset>; see CMakePresets.json.

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
# Used by CMake when it configures a build folder for the first time.
ifneq ($(shell command -v ccache),)
export CMAKE_C_COMPILER_LAUNCHER ?= ccache
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
endif

.DEFAULT_GOAL := build
.PHONY: build dev demo test test-long bench bench-full cov fuzz tidy format install deb amalgamation clean help

build: ## the library and the shell, into build/release
	@tools/install_dependencies.sh build
	@mkdir -p build
	@cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	@cmake --build --preset release -j $(JOBS)

dev: ## everything with assertions, tests included, into build/dev
	@tools/install_dependencies.sh test
	@cmake --preset dev
	@cmake --build --preset dev -j $(JOBS)

demo: ## what OmenDB does, on real data, in two minutes: installs, builds, shows
	@demo/run.sh

test: ## every test (about a quarter of an hour on two cores)
	@tools/install_dependencies.sh test
	@python3 tools/run_tests.py

test-long: ## every test with the long campaigns of simulator and fuzzer
	@tools/install_dependencies.sh test
	@python3 tools/run_tests.py --long

bench: ## the short figures of bench/RESULTS.md, and graph search beside two peers (minutes)
	@tools/install_dependencies.sh test
	@$(MAKE) --no-print-directory build
	@bench/run.sh

bench-full: ## all figures: every data set and peer of bench/ann, nine rounds, plots (hours)
	@tools/install_dependencies.sh test npm
	@$(MAKE) --no-print-directory build
	@bench/run.sh --full

cov: ## branch coverage of src/store by the tests
	@tools/install_dependencies.sh test
	@tools/coverage.sh

fuzz: ## builds the fuzzers, into build/fuzz
	@tools/install_dependencies.sh test
	@cmake --preset fuzz
	@cmake --build --preset fuzz -j $(JOBS)

tidy: ## clang-tidy over src/
	@tools/install_dependencies.sh test clang-tidy-14
	@cmake --preset clang >/dev/null
	@git ls-files -co --exclude-standard 'src/*.c' | xargs -P $(JOBS) -n 4 clang-tidy-14 -p build/clang --quiet

format: ## clang-format over all C and C++ files
	@git ls-files -co --exclude-standard '*.c' '*.h' '*.cc' | xargs clang-format-14 -i

install: build ## into PREFIX (default /usr/local), below DESTDIR if given
	@cmake --install build/release --prefix $(PREFIX)

deb: build ## Debian packages, into build/deb (needs dpkg-dev)
	@command -v dpkg-shlibdeps >/dev/null || { echo "make deb: please install dpkg-dev"; exit 1; }
	@cd build/release && cpack -G DEB -B ../deb >../cpack.log 2>&1 || { cat ../cpack.log; exit 1; }
	@rm -rf build/deb/_CPack_Packages && ls build/deb/*.deb

amalgamation: ## the library as one C file and its header, into build/amalgamation
	@tools/amalgamate.py

clean: ## removes build/
	@rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
