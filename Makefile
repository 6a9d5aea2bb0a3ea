# Lockstep. `make run` starts three nodes on this machine; `make test` runs every test. Both first
# install what is missing (Debian 12's packages, through apt) and build.
#
#   make                  build the server: build/release/lockstep-server
#   make run              three nodes on 127.0.0.1: 7379, 7380, 7381; Ctrl-C stops them
#   make test             all tests; ONLY=raft runs those whose name holds "raft"
#   make sim SEEDS=300    simulated clusters; SEED=n runs one again, SHRINK=1 with fewer faults
#   make chaos            real nodes, killed and cut off under load; CHAOS_SECONDS=60 CHAOS_SEED=n;
#                         the locks, the queues, the cache; ONLY=cache
#   make asan | tsan      all tests under sanitizers; takes about half an hour
#   make fuzz             each fuzzer for FUZZ_SECONDS (30), one a core at a time
#   make bench            beside redis-server, etcd, beanstalkd, here; QUICK=1: in 7 minutes
#   make microbench       single parts
#   make mutants          planted bugs, each of which the tests must find
#   make traces           compare the engines' traces; REWRITE=1 writes them anew
#   make clang            build everything with clang 14
#   make coverage         which lines the unit tests and a few simulated clusters run
#   make format | clean

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

# Parallel unless asked otherwise. What is built below a first make shares its job slots.
ifeq ($(MAKELEVEL),0)
  ifeq ($(filter -j%,$(MAKEFLAGS)),)
    MAKEFLAGS += -j$(shell nproc)
  endif
endif
# Builds keep each compiler's words together. Not global: `make run` and `make test` talk as they go.
BUILD := $(MAKE) --no-print-directory --output-sync=target

# Flags ---------------------------------------------------------------------------------------------

MODE ?= release
CXX := g++
OPT := -O2 -g1
SANITIZE :=
PLANT :=
ifeq ($(MODE),clang)
  CXX := clang++-14
else ifeq ($(MODE),asan)
  SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
  OPT := -O1 -g1
else ifeq ($(MODE),tsan)
  SANITIZE := -fsanitize=thread
  OPT := -O1 -g1
else ifeq ($(MODE),fuzz)
  CXX := clang++-14
  SANITIZE := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
  OPT := -O1 -g1
else ifeq ($(MODE),coverage)
  SANITIZE := --coverage
  OPT := -O0 -g1
else ifeq ($(MODE),mutants)
  # Plants the bug that LOCKSTEP_MUTANT names (src/base/planted.h).
  PLANT := -DLOCKSTEP_MUTANTS
  OPT := -O1 -g1
else ifneq ($(MODE),release)
  $(error MODE is release, clang, asan, tsan, fuzz, coverage or mutants, not '$(MODE)')
endif

comma := ,
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
# Under a sanitizer g++ 12 takes libstdc++'s own regex for uninitialized (GCC bug 105562).
ifneq ($(filter asan tsan,$(MODE)),)
  WARN += -Wno-maybe-uninitialized
endif
HARDEN := -D_GLIBCXX_ASSERTIONS -fstack-protector-strong -fPIE
CXXFLAGS := -std=c++20 $(OPT) $(WARN) $(HARDEN) $(SANITIZE) $(PLANT) -DSPDLOG_COMPILED_LIB \
            -DSPDLOG_FMT_EXTERNAL -I. -MMD -MP
# Tests are compiled more often than they are run: a fifth less time for each.
TEST_OPT := $(if $(filter release clang,$(MODE)),-O1)
LDFLAGS := $(SANITIZE) -pie -Wl,-z,relro,-z,now
# The simulator's children leave by _exit: they say themselves what they have run.
LDFLAGS += $(if $(filter coverage,$(MODE)),-Wl$(comma)-u$(comma)__gcov_dump)
IO_LIBS := -lrocksdb -lhiredis -luv -lspdlog -lfmt -lcrypto
PURE_LIBS := -lxxhash -lroaring
GTEST_LIBS := -lgmock -lgtest_main -lgtest
CCACHE := $(shell command -v ccache 2>/dev/null)

# What there is to build ----------------------------------------------------------------------------

B := build/$(MODE)
objects = $(patsubst %.cc,$(B)/%.o,$(1))

# Layers, left to right: each may use those before it (tests/layers_test.cc holds the rule).
LAYERS := base resp cluster commands node io
SOURCES_base := $(wildcard src/base/*.cc)
SOURCES_resp := $(wildcard src/resp/*.cc)
SOURCES_cluster := $(wildcard cluster/*/*.cc)
SOURCES_commands := $(wildcard commands/*.cc)
SOURCES_node := $(filter-out src/main.cc,$(wildcard src/*.cc))
SOURCES_io := $(wildcard src/io/*.cc)
SOURCES_sim := $(filter-out tests/sim/main.cc,$(wildcard tests/sim/*.cc))
LIBS_pure := $(foreach l,node commands cluster resp base,$(B)/lib$(l).a)
LIBS_all := $(B)/libio.a $(LIBS_pure)

SERVER := $(B)/lockstep-server
SIM := $(if $(wildcard tests/sim/main.cc),$(B)/tests/sim/lockstep-sim)
UNIT_TESTS := $(patsubst tests/%.cc,$(B)/tests/%,$(wildcard tests/*_test.cc))
BENCHES := $(patsubst tests/%.cc,$(B)/tests/%,$(wildcard tests/bench/*.cc))
FUZZERS := $(patsubst tests/%.cc,$(B)/tests/%,$(wildcard tests/fuzz/fuzz_*.cc))

.PHONY: all tests benches fuzzers planted
all: $(SERVER)
tests: $(UNIT_TESTS) $(SIM)
benches: $(BENCHES)
fuzzers: $(FUZZERS)
planted: $(if $(filter mutants,$(MODE)),$(shell tests/mutants --binaries $(B)))

# How it is built -----------------------------------------------------------------------------------

# A file whose text is $(1), touched only when that changes: what depends on it is built anew then.
.PHONY: FORCE
FORCE:
write_if_changed = mkdir -p $(@D) && (cmp -s - $@ <<< '$(strip $(1))' || cat > $@ <<< '$(strip $(1))')

$(B)/compile.flags: FORCE
	@$(call write_if_changed,$(CXX) $(CXXFLAGS))
$(B)/link.flags: FORCE
	@$(call write_if_changed,$(CXX) $(LDFLAGS) $(IO_LIBS) $(PURE_LIBS) $(GTEST_LIBS))
$(B)/lib%.members: FORCE
	@$(call write_if_changed,$(SOURCES_$*))

$(B)/%.o: %.cc $(B)/compile.flags
	@mkdir -p $(@D)
	@echo "  c++  $<"
	@$(CCACHE) $(CXX) $(CXXFLAGS) $(if $(filter %_test.cc,$<),$(TEST_OPT)) -c $< -o $@

define layer_rule
$(B)/lib$(1).a: $(call objects,$(SOURCES_$(1))) $(B)/lib$(1).members
	@rm -f $$@
	@ar rcs $$@ $$(filter %.o,$$^)
endef
$(foreach l,$(LAYERS) sim,$(eval $(call layer_rule,$(l))))

link = mkdir -p $(@D) && echo "  link $@" && $(CXX) $(LDFLAGS) $(filter %.o %.a,$^) $(1) -lpthread -o $@

$(SERVER): $(B)/src/main.o $(LIBS_all) $(B)/link.flags
	@$(call link,$(IO_LIBS) $(PURE_LIBS))

# A unit test is linked with the pure layers; an io_*_test with the shell too, a sim_*_test with the
# simulator.
$(B)/tests/%_test: $(B)/tests/%_test.o $(LIBS_pure) $(B)/link.flags
	@$(call link,$(PURE_LIBS) $(GTEST_LIBS))
$(B)/tests/io_%_test: $(B)/tests/io_%_test.o $(LIBS_all) $(B)/link.flags
	@$(call link,$(IO_LIBS) $(PURE_LIBS) $(GTEST_LIBS))
$(B)/tests/sim_%_test: $(B)/tests/sim_%_test.o $(B)/libsim.a $(LIBS_pure) $(B)/link.flags
	@$(call link,$(PURE_LIBS) $(GTEST_LIBS))
$(B)/tests/sim/lockstep-sim: $(B)/tests/sim/main.o $(B)/libsim.a $(LIBS_pure) $(B)/link.flags
	@$(call link,$(PURE_LIBS))
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(LIBS_pure) $(B)/link.flags
	@$(call link,$(PURE_LIBS) -lbenchmark)
$(B)/tests/bench/io_%: $(B)/tests/bench/io_%.o $(LIBS_all) $(B)/link.flags
	@$(call link,$(IO_LIBS) $(PURE_LIBS) -lbenchmark)
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/entry.o $(LIBS_pure) $(B)/link.flags
	@$(call link,$(PURE_LIBS) -fsanitize=fuzzer)

-include $(shell [ -d $(B) ] && find $(B) -name '*.d')

# What a fresh Debian 12 lacks ----------------------------------------------------------------------

# command:package where whatever gives the command will do, else a package.
DEPS_run := g++:g++ redis-cli:redis-tools libuv1-dev librocksdb-dev libhiredis-dev libspdlog-dev \
            libfmt-dev libssl-dev libxxhash-dev libroaring-dev nlohmann-json3-dev
DEPS_test := $(DEPS_run) libgtest-dev libgmock-dev python3:python3 python3-redis \
             redis-server:redis-server node:nodejs npm:npm
DEPS_chaos := $(DEPS_run) python3:python3 ip:iproute2
DEPS_clang := clang++-14:clang-14 libclang-rt-14-dev
DEPS_bench := $(DEPS_run) python3:python3 redis-server:redis-server etcd:etcd-server \
              beanstalkd:beanstalkd libnghttp2-dev gnuplot:gnuplot-nox
DEPS_microbench := $(DEPS_test) libbenchmark-dev
DEPS_coverage := gcovr:gcovr
DEPS_format := clang-format-14:clang-format-14

define install_missing
missing=""; \
for want in $(sort $(1)); do \
  if [[ $$want == *:* ]]; then command -v "$${want%%:*}" > /dev/null && continue; \
  else dpkg-query -W -f '$${db:Status-Status}' "$$want" 2> /dev/null | grep -qx installed && continue; fi; \
  missing+=" $${want#*:}"; \
done; \
[ -n "$$missing" ] || exit 0; \
echo "  install$$missing"; \
command -v apt-get > /dev/null || { echo "no apt-get here: please install$$missing" >&2; exit 1; }; \
as_root=""; [ "$$(id -u)" = 0 ] || as_root=sudo; \
$$as_root apt-get -qq update; \
$$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing > /dev/null
endef

.PHONY: deps deps-test deps-chaos deps-clang deps-bench deps-microbench deps-coverage deps-format
deps:
	@$(call install_missing,$(DEPS_run))
deps-test:
	@$(call install_missing,$(DEPS_test))
deps-chaos:
	@$(call install_missing,$(DEPS_chaos))
deps-clang:
	@$(call install_missing,$(DEPS_clang) $(DEPS_microbench))
deps-bench:
	@$(call install_missing,$(DEPS_bench))
deps-microbench:
	@$(call install_missing,$(DEPS_microbench))
deps-coverage:
	@$(call install_missing,$(DEPS_test) $(DEPS_coverage))
deps-format:
	@$(call install_missing,$(DEPS_format))

# The clients that redis-tests drive. Only this project's lock file says which.
ifneq ($(wildcard redis-tests/package-lock.json),)
NODE_CLIENTS := redis-tests/node_modules/.package-lock.json
$(NODE_CLIENTS): redis-tests/package-lock.json
	@echo "  npm  redis-tests"
	@cd redis-tests && npm ci --loglevel error --no-progress --no-audit --no-fund > /dev/null && touch node_modules/.package-lock.json
endif

# What is done with it ------------------------------------------------------------------------------

SEEDS ?= 300
SEED ?=
CHAOS_SECONDS ?= 60
FROM ?=
KEEP ?=
SHRINK ?=
FUZZ_SECONDS ?= 30
COVERAGE_SEEDS ?= 20
ONLY ?=
QUICK ?=

.PHONY: run test sim chaos mutants asan tsan fuzz bench microbench traces clang coverage format \
        clean
run: deps
	@+$(BUILD) all
	@exec tests/cluster_up $(SERVER)

test: deps-test
	@+$(BUILD) all tests
	@+$(if $(NODE_CLIENTS),$(BUILD) $(NODE_CLIENTS))
	@exec tests/run_all --build $(B) $(ONLY)

sim: deps
	@+$(BUILD) $(SIM)
	@$(SIM) $(if $(SEED),--seed $(SEED) $(if $(KEEP),--keep $(KEEP)) $(if $(SHRINK),--shrink),\
	  --seeds $(SEEDS) $(if $(FROM),--from $(FROM)))

# CHAOS_SEED and CHAOS_NODES, if they are given, it finds in its environment.
chaos: deps-chaos
	@+$(BUILD) all $(SIM)
	@$(foreach kind,$(filter $(or $(ONLY),%),locks queues cache),\
	  CHAOS_SECONDS=$(CHAOS_SECONDS) redis-tests/chaos --$(kind);)

# A simulated cluster is one thread: there is little for the thread sanitizer to see, at 30 times
# the time.
tsan: export SIM_SEEDS ?= 20
asan tsan: deps-test
	@+$(BUILD) MODE=$@ all tests
	@+$(if $(NODE_CLIENTS),$(BUILD) $(NODE_CLIENTS))
	@exec tests/run_all --build build/$@ $(ONLY)

mutants: deps-test
	@+$(BUILD) MODE=mutants planted
	@exec tests/mutants --build build/mutants $(ONLY)

fuzz: deps-clang
	@+$(BUILD) MODE=fuzz fuzzers
	@exec tests/fuzz/run --seconds $(FUZZ_SECONDS) build/fuzz/tests/fuzz $(ONLY)

bench: deps-bench
	@+$(BUILD) all
	@exec redis-tests/bench/run $(if $(QUICK),--quick) $(ONLY)

microbench: deps-microbench
	@+$(BUILD) benches
	@for bench in $(BENCHES); do $$bench; done

traces: deps-test
	@+$(BUILD) $(B)/tests/trace_test
	@$(B)/tests/trace_test --gtest_brief=1

clang: deps-clang
	@+$(BUILD) MODE=clang all tests benches

# Fewer simulated clusters: unoptimized they are slow, and the first few run nearly all lines.
coverage: deps-coverage
	@+$(BUILD) MODE=coverage tests
	@find build/coverage -name '*.gcda' -delete
	@SIM_SEEDS=$(COVERAGE_SEEDS) tests/run_all --build build/coverage --no-processes $(ONLY)
	@exec tests/coverage build/coverage

format: deps-format
	@git ls-files '*.h' '*.cc' | xargs clang-format-14 -i

clean:
	@rm -rf build
